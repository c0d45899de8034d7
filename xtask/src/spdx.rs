//! Licence expressions as packages write them: `MIT OR Apache-2.0`, `(A OR B) AND C`,
//! `Apache-2.0 WITH LLVM-exception`, and the older `MIT/Apache-2.0`.

/// Whether `expression` can be met with licences that `allowed` accepts.
///
/// # Errors
/// What is wrong with the expression.
pub(crate) fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let met = parser.any()?;
    match parser.words.first() {
        None => Ok(met),
        Some(word) => Err(format!("`{word}` is not expected in `{expression}`")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn word(&mut self) -> Result<&str, String> {
        let (word, rest) = self.words.split_first().ok_or("a licence expression ends early")?;
        self.words = rest;
        Ok(word)
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut met = self.all()?;
        while self.take("OR") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let met = self.any()?;
            return if self.take(")") { Ok(met) } else { Err(String::from("a `)` is missing")) };
        }
        let mut licence = self.word()?.to_string();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.word()?);
        }
        Ok((self.allowed)(&licence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn or_needs_one_and_needs_both() {
        let allowed = |licence: &str| ["MIT", "Apache-2.0", "Unicode-3.0"].contains(&licence);
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0", false),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
            ("GPL-3.0 OR MIT AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ] {
            assert_eq!(is_met(expression, &allowed), Ok(expected), "{expression}");
        }
        assert!(is_met("MIT OR", &allowed).is_err());
        assert!(is_met("(MIT", &allowed).is_err());
        assert!(is_met("MIT MIT", &allowed).is_err());
    }
}
