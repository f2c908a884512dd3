//! PAX extended headers (POSIX.1-2017, `pax`, "pax Extended Header"): records of `length key=value\n`.

use super::Limits;

/// What extended headers say about the next entry, or with a `g` header about all that follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Seconds and nanoseconds.
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: SparseHeader,
}

/// `GNU.sparse.*` (GNU tar manual, "PAX sparse formats 0.0, 0.1, 1.0").
#[derive(Clone, Debug, Default)]
pub(super) struct SparseHeader {
    pub(super) major: Option<u64>,
    pub(super) real_size: Option<u64>,
    /// The file's own name; the entry's path names a place of the archiver's.
    pub(super) name: Option<Vec<u8>>,
    /// Offsets and lengths in turn (formats 0.0 and 0.1).
    pub(super) map: Option<Vec<u64>>,
}

impl SparseHeader {
    pub(super) const fn is_set(&self) -> bool {
        self.major.is_some() || self.map.is_some()
    }
}

/// More attributes of one entry are an attack on time.
const MAX_XATTRS: usize = 1024;

impl Extended {
    /// Whether this may hold for all entries that follow. What differs from entry to entry may not: it would be a way to
    /// say two things about one entry, and copied for each.
    pub(super) const fn may_be_global(&self) -> bool {
        self.path.is_none()
            && self.link.is_none()
            && self.size.is_none()
            && self.xattrs.is_empty()
            && self.sparse.name.is_none()
            && self.sparse.real_size.is_none()
            && !self.sparse.is_set()
    }
}

/// Reads all records of one header's body into `extended`; later ones win.
pub(super) fn read(body: &[u8], extended: &mut Extended, limits: &Limits) -> Result<(), &'static str> {
    let mut rest = body;
    while !rest.is_empty() {
        let space = rest.iter().position(|b| *b == b' ').ok_or("an extended header record has no length")?;
        let length = usize::try_from(decimal(&rest[..space])?).map_err(|_| "an extended header record is too long")?;
        let record = rest.get(space + 1..length).ok_or("an extended header record is longer than its header")?;
        let record = record.strip_suffix(b"\n").ok_or("an extended header record does not end in a newline")?;
        let equals = record.iter().position(|b| *b == b'=').ok_or("an extended header record has no `=`")?;
        take(&record[..equals], &record[equals + 1..], extended, limits)?;
        rest = &rest[length..];
    }
    Ok(())
}

fn take(key: &[u8], value: &[u8], extended: &mut Extended, limits: &Limits) -> Result<(), &'static str> {
    let text = |value: &[u8]| {
        if value.len() > limits.max_path || value.contains(&0) {
            return Err("an extended header holds a path that is too long or has a NUL");
        }
        Ok(Some(value.to_vec()))
    };
    match key {
        b"path" => extended.path = text(value)?,
        b"GNU.sparse.name" => extended.sparse.name = text(value)?,
        b"linkpath" => extended.link = text(value)?,
        b"size" => extended.size = Some(decimal(value)?),
        b"uid" => extended.uid = Some(decimal(value)?),
        b"gid" => extended.gid = Some(decimal(value)?),
        b"mtime" => extended.mtime = Some(time(value)?),
        b"GNU.sparse.major" => extended.sparse.major = Some(decimal(value)?),
        b"GNU.sparse.realsize" | b"GNU.sparse.size" => extended.sparse.real_size = Some(decimal(value)?),
        b"GNU.sparse.map" => {
            let numbers = value.split(|b| *b == b',').map(decimal).collect::<Result<_, _>>()?;
            extended.sparse.map = Some(numbers);
        }
        b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
            extended.sparse.map.get_or_insert_default().push(decimal(value)?);
        }
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                extended.xattrs.retain(|(known, _)| known != name);
                if extended.xattrs.len() == MAX_XATTRS {
                    return Err("an entry has too many extended attributes");
                }
                extended.xattrs.push((name.to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

pub(super) fn decimal(text: &[u8]) -> Result<u64, &'static str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
        .ok_or("a number in an extended header is not one")
}

/// Seconds with an optional sign and fraction; the fraction is cut at nanoseconds.
fn time(text: &[u8]) -> Result<(i64, u32), &'static str> {
    let bad = "a time in an extended header is not one";
    let text = std::str::from_utf8(text).map_err(|_| bad)?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(decimal(whole.as_bytes())?).map_err(|_| bad)?;
    let mut nanos = 0;
    for position in 0..9 {
        let digit = match fraction.as_bytes().get(position) {
            Some(digit) if digit.is_ascii_digit() => u32::from(digit - b'0'),
            Some(_) => return Err(bad),
            None => 0,
        };
        nanos = nanos * 10 + digit;
    }
    Ok(match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_damage_is_named() {
        let mut extended = Extended::default();
        let body = b"12 path=a/b\n21 mtime=1.000000002\n23 SCHILY.xattr.u.x=\n=\n12 path=c/d\n";
        assert_eq!(read(body, &mut extended, &Limits::default()), Ok(()));
        assert_eq!(extended.path.as_deref(), Some(b"c/d".as_slice()));
        assert_eq!(extended.mtime, Some((1, 2)));
        assert_eq!(extended.xattrs, [(b"u.x".to_vec(), b"\n=".to_vec())]);
        let damaged = [
            &b"x"[..],
            b"99 path=a\n",
            b"8 path=a\n",
            b"11 path=a\n",
            b"0 a=b\n",
            b"1 a=b\n",
            b"6 abc\n",
            b" a=b\n",
            b"+9 path=a\n",
        ];
        for bad in damaged {
            assert!(read(bad, &mut Extended::default(), &Limits::default()).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn what_is_of_one_entry_is_not_of_all() {
        let said = |body: &[u8]| {
            let mut extended = Extended::default();
            read(body, &mut extended, &Limits::default()).unwrap();
            extended.may_be_global()
        };
        assert!(said(b"52 comment=0123456789012345678901234567890123456789\n") && said(b"9 uid=10\n"));
        assert!(!said(b"10 size=9\n") && !said(b"9 path=a\n") && !said(b"20 SCHILY.xattr.u=a\n"));
    }

    #[test]
    fn times_before_the_epoch_have_positive_nanoseconds() {
        assert_eq!(time(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Ok((-3, 0)));
        assert_eq!(time(b"7.1234567899"), Ok((7, 123_456_789)));
        assert!(time(b"7.x").is_err() && time(b"").is_err());
    }
}
