//! How version 1 of the hash read numbers, kept for what was recorded with it.
//!
//! A JSON library that reads floats fast and not exactly made the bodies and the hashes of version 1. Its way lives here
//! as code of its own: a library's switch is one for the whole build, and its next release may read otherwise.

use std::sync::LazyLock;

/// Powers of ten up to the largest that a double holds.
static POWERS: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..=308).map(|power| format!("1e{power}").parse().unwrap_or(f64::INFINITY)).collect());

/// The double that version 1 made of one that the API server stores.
pub(super) fn read_by_v1(stored: f64) -> f64 {
    read(&as_stored(stored))
}

/// A double as the API server writes it: in the fewest digits that mean it, with an exponent where it is very small or
/// large. (Its `1e+21` is read like `1e21`.)
pub fn as_stored(double: f64) -> String {
    let size = double.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) { format!("{double:e}") } else { format!("{double}") }
}

/// Takes as many digits as 64 bits hold, and scales them by a power of ten: each of the two steps is rounded.
fn read(text: &str) -> f64 {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut power: i32 = exponent.parse().unwrap_or(0);
    let mut kept: u64 = 0;
    let with = |kept: u64, digit: u8| kept.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let mut whole = whole.bytes();
    while let Some(digit) = whole.next() {
        let Some(longer) = with(kept, digit) else {
            power += 1 + i32::try_from(whole.len()).unwrap_or(0);
            break;
        };
        kept = longer;
    }
    for digit in fraction.bytes() {
        let Some(longer) = with(kept, digit) else { break };
        kept = longer;
        power -= 1;
    }
    #[allow(clippy::cast_precision_loss, reason = "the first of the two roundings")]
    let mut double = kept as f64;
    while power < -308 {
        double /= 1e308;
        power += 308;
    }
    let scale = |power: i32| POWERS.get(power.unsigned_abs() as usize).copied().unwrap_or(f64::INFINITY);
    double = if power < 0 { double / scale(power) } else { double * scale(power) };
    if negative { -double } else { double }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::{as_stored, read_by_v1};

    /// Numbers as the API server writes them, and how version 1 sent them: taken from a build that knew it alone.
    const SENT_BY_V1: [(&str, &str); 30] = [
        ("1.5777777777770001", "1.577777777777"),
        ("117.63331139400017", "117.63331139400016"),
        ("0.9215686321258545", "0.9215686321258544"),
        ("-1.8134499788284302", "-1.8134499788284304"),
        ("-114.35932276721135", "-114.35932276721137"),
        ("-133.57368846499043", "-133.57368846499045"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("3.141592653589793", "3.141592653589793"),
        ("52.520008", "52.520008"),
        ("1.5", "1.5"),
        ("-0", "-0.0"),
        ("1e-7", "1e-7"),
        ("1.2e-7", "1.2e-7"),
        ("0.000001234", "1.234e-6"),
        ("1e+21", "1e+21"),
        ("1.0591109319140219e+22", "1.059110931914022e+22"),
        ("123456789012345680000", "1.2345678901234567e+20"),
        ("100000000000000000000", "1e+20"),
        ("18446744073709552000", "1.8446744073709552e+19"),
        ("18446744073709551615", "18446744073709551615"),
        ("9223372036854776000", "9223372036854776000"),
        ("9007199254740993", "9007199254740993"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854776000", "-9.223372036854776e+18"),
        ("1.7976931348623157e+308", "1.7976931348623157e+308"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("5e-324", "5e-324"),
        ("4.9406564584124654e-320", "4.9407e-320"),
        ("-4.199010356643058e-19", "-4.1990103566430582e-19"),
    ];

    /// As the canonical body of version 1 shows it.
    fn sent_by_v1(text: &str) -> String {
        let value: Value = serde_json::from_str(text).unwrap();
        if value.is_f64() {
            Value::from(read_by_v1(value.as_f64().unwrap())).to_string()
        } else {
            value.to_string()
        }
    }

    #[test]
    fn version_1_sends_each_number_as_it_always_did() {
        for (text, sent) in SENT_BY_V1 {
            assert_eq!(sent_by_v1(text), sent, "{text}");
        }
    }

    /// The old build's digest of the same doubles: it was made over 20 million of them, too, and agreed.
    #[test]
    fn version_1_reads_a_hundred_thousand_doubles_as_it_always_did() {
        let (mut sha, mut changed) = (Sha256::new(), 0);
        for double in doubles().take(100_000).filter(|double| double.is_finite()) {
            let text = as_stored(double);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits(), "{text}");
            changed += u32::from(read_by_v1(double).to_bits() != double.to_bits());
            sha.update(sent_by_v1(&text) + "\n");
        }
        assert_eq!(changed, 13_867);
        let digest = hex::encode(sha.finalize());
        assert_eq!(digest, "1a47b8245092a17b3a242b8351a1f63c118ffecedef570c198302be05ecb4d7b");
    }

    /// Doubles of every kind that payloads hold: any bits, degrees, millionths, large ones.
    fn doubles() -> impl Iterator<Item = f64> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        #[allow(clippy::cast_precision_loss, reason = "any double will do")]
        std::iter::repeat_with(move || match next() % 4 {
            0 => f64::from_bits(next()),
            1 => (next() >> 11) as f64 / 9_007_199_254_740_992.0 * 360.0 - 180.0,
            2 => (next() % 1_000_000_000_000) as f64 / 1e6,
            _ => next() as f64 * 1e3,
        })
    }
}
