//! Numbers and times as people read them.

/// `12,345`.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is left, beside a bar: `1:05`, minutes and seconds, at most 100 hours.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 360_000.0).round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// What was needed: `12.3 s`, `1:05 min` or `1:05 h`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=59 => format!("{seconds:.1} s"),
        60..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let rows = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (n, text) in rows {
            assert_eq!(thousands(n), text);
        }
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!(
            [3.26, 59.4, 59.6, 3725.0].map(duration),
            ["3.3 s", "59.4 s", "1:00 min", "1:02 h"]
        );
        assert_eq!([0.2, 65.0, f64::INFINITY].map(clock), ["0:00", "1:05", "6000:00"]);
    }
}
