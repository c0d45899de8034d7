//! Who comes in, who has to leave, and when.
//!
//! There are [`VISITORS`] places. Whoever comes when all are taken gets that of the visitor who has asked nothing for
//! the longest time, so that nobody can keep others out by staying: not by silence, not by questions whose answers he
//! does not read, not by a question now and then. Whoever is slow besides is sent away after [`PATIENCE`].

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::Router;
use hyper::{
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{self, Sleep},
};

/// Whoever takes longer to say what is wanted, to send a drawing, or to take any of the answer, is not drawing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// So many visitors are attended to at a time.
const VISITORS: usize = 256;
/// When the program ends, those who are being answered have so long to take it.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How often it is looked whether the program is to end.
const TICK: Duration = Duration::from_millis(50);

/// For who begins to say what he wants and does not end it.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nContent-Length: 36\r\n\
                          Connection: close\r\n\r\nthe request did not come to its end\n";

struct Visitor {
    /// When he came, or last asked something.
    asked: Arc<Mutex<Instant>>,
    task: JoinHandle<()>,
}

/// Answers whoever comes, until the program is to end; what has been asked by then is answered.
pub(super) async fn attend(listener: TcpListener, routes: Router, stop: &AtomicBool) {
    let (end, ended) = watch::channel(false);
    let mut visitors: Vec<Visitor> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match time::timeout(TICK, listener.accept()).await {
            Ok(Ok((stream, _))) => {
                visitors.retain(|visitor| !visitor.task.is_finished());
                if visitors.len() == VISITORS {
                    send_longest_silent_away(&mut visitors);
                }
                let asked = Arc::new(Mutex::new(Instant::now()));
                let task =
                    tokio::spawn(answer(stream, routes.clone(), asked.clone(), ended.clone()));
                visitors.push(Visitor { asked, task });
            }
            // There may be no more sockets at the moment.
            Ok(Err(_)) => time::sleep(TICK).await,
            Err(_) => {} // nobody came
        }
    }
    drop(listener);
    end.send_replace(true);
    let last_answers = async {
        for visitor in visitors {
            let _ = visitor.task.await;
        }
    };
    let _ = time::timeout(LAST_ANSWERS, last_answers).await;
}

fn send_longest_silent_away(visitors: &mut Vec<Visitor>) {
    let asked = |i: &usize| *visitors[*i].asked.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(longest) = (0..visitors.len()).min_by_key(asked) {
        visitors.swap_remove(longest).task.abort();
    }
}

/// Answers one visitor until one of both has enough.
async fn answer(
    stream: TcpStream,
    routes: Router,
    asked: Arc<Mutex<Instant>>,
    mut ended: watch::Receiver<bool>,
) {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request| {
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        routes.call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(Taken { stream, limit: None }), service);
    let mut end = pin!(ended.wait_for(|ended| *ended));
    let answered = poll_fn(|context| match Pin::new(&mut connection).poll(context) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => end.as_mut().poll(context).map(|_| None),
    });
    match answered.await {
        Some(Err(error)) if error.is_timeout() => {
            let parts = connection.into_parts();
            if !parts.read_buf.is_empty() {
                let _ = parts.io.into_inner().stream.try_write(TOO_SLOW);
            }
        }
        Some(_) => {}
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A stream of which the other side has to take something every [`PATIENCE`] while it is written to.
struct Taken {
    stream: TcpStream,
    /// Runs while nothing can be written.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Taken {
    fn in_time(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            self.limit = None;
            return written;
        }
        let limit = self.limit.get_or_insert_with(|| Box::pin(time::sleep(PATIENCE)));
        limit.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
