//! Peers that live in Python: a process per library (`peers.py`), which waits for its turn.
//!
//! It is told `case SECTION NAME` and answers with the names of its contenders; then `run I N`, and
//! answers with the seconds that N iterations of contender I took, by the wall and of CPU time. What
//! goes wrong there it tells on standard error, and answers with an empty line.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use crate::measure::{Contender, Cost};

/// The libraries that `peers.py` knows.
const LIBRARIES: [&str; 3] = ["numpy", "torch", "jax"];

/// One library in its process.
pub struct Python {
    library: &'static str,
    conversation: Rc<RefCell<Conversation>>,
}

struct Conversation {
    library: &'static str,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The process has ended.
    gone: bool,
}

impl Python {
    /// Starts a process for each library that this Python has.
    pub fn start_all(program: &Path, threads: usize) -> Result<Vec<Python>, String> {
        let mut started = Vec::new();
        for library in LIBRARIES {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers.py");
            let mut process = Command::new(program)
                .arg(script)
                .arg(library)
                .arg(threads.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) else {
                return Err("no pipes to the process".to_owned());
            };
            let from = BufReader::new(from);
            let mut conversation = Conversation { library, process, to, from, gone: false };
            let version = conversation.hear().unwrap_or_default();
            if version == "absent" {
                continue;
            }
            if version.is_empty() {
                return Err(format!("its {library} did not start"));
            }
            eprintln!("bench: {library} {version}, {}", program.display());
            started.push(Python { library, conversation: Rc::new(RefCell::new(conversation)) });
        }
        if started.is_empty() {
            return Err(format!("it has none of {}", LIBRARIES.join(", ")));
        }
        Ok(started)
    }

    /// This library's ways to do the work of a case, perhaps none.
    pub fn contenders(&mut self, section: &str, case: &str) -> Vec<Contender<'static>> {
        let answer = self.conversation.borrow_mut().ask(&format!("case {section} {case}"));
        let contender = |(i, way): (usize, &str)| {
            let name = if way == "-" {
                self.library.to_owned()
            } else {
                format!("{}-{way}", self.library)
            };
            let conversation = Rc::clone(&self.conversation);
            Contender::timed_by(&name, move |iterations| {
                let answer = conversation.borrow_mut().ask(&format!("run {i} {iterations}"));
                let mut seconds = answer.split(' ').map_while(|s| s.parse().ok());
                Some(Cost { wall_s: seconds.next()?, cpu_s: seconds.next()? })
            })
        };
        answer.split_whitespace().enumerate().map(contender).collect()
    }
}

impl Conversation {
    fn ask(&mut self, line: &str) -> String {
        if self.gone {
            return String::new();
        }
        // A process that is gone is told apart by what it says: nothing, not even the end of a line.
        let _ = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
        let answer = self.hear();
        if answer.is_none() {
            eprintln!("bench: {} is gone since `{line}`; on without it", self.library);
            self.gone = true;
        }
        answer.unwrap_or_default()
    }

    fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim().to_owned())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
