//! Sizes as people write them: `16MiB`, `20GiB`, or plain bytes.

use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

/// For `deserialize_with`.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let bytes = match Written::deserialize(deserializer)? {
        Written::Bytes(bytes) => Some(bytes),
        Written::Text(text) => parse(&text),
    };
    bytes
        .filter(|bytes| *bytes > 0)
        .map(Some)
        .ok_or_else(|| D::Error::custom("is not a size such as 512KiB, 16MiB or 20GiB"))
}

fn parse(text: &str) -> Option<u64> {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let (digits, shift) =
        UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).unwrap_or((text, 0));
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_powers_of_two() {
        let sizes = ["7", "512KiB", "16 MiB", "20GiB", "1TiB"].map(super::parse);
        assert_eq!(sizes, [Some(7), Some(512 << 10), Some(16 << 20), Some(20 << 30), Some(1 << 40)]);
        for bad in ["", "GiB", "1GB", "1.5GiB", "-1", "99999999999TiB"] {
            assert_eq!(super::parse(bad), None, "{bad}");
        }
    }
}
