//! A key service that speaks PKCS#11: a hardware module, or a program that stands in for one.
//!
//! The service holds one secret of 256 bits that never leaves it, and computes HMAC-SHA-256 with it: the digest of a file's
//! salt is what locks the file. HMAC rather than a cipher, because every module has it and it needs no nonce.

use std::{fmt, fs, path::PathBuf, str::FromStr};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Lock, LockKind, LockingKey, RootKeyError};
use crate::envelope::Key;

/// Bytes of a PIN's file at most.
const MOST_PIN_BYTES: u64 = 1024;

/// Names a key of a key service (RFC 7512), without a PIN:
/// `pkcs11:token=T;object=KEY?module-path=/path/of/module.so&pin-source=/path/of/pin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    token: String,
    object: String,
    module: PathBuf,
    pin: PathBuf,
}

/// Why a text is no [`Pkcs11Uri`]; reads after `the URI of the key service`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Pkcs11UriError(String);

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| Pkcs11UriError(why.to_owned());
        let body = text.strip_prefix("pkcs11:").ok_or_else(|| wrong("does not begin with `pkcs11:`"))?;
        let (path, query) = body.split_once('?').unwrap_or((body, ""));
        let (mut token, mut object, mut module, mut pin) = (None, None, None, None);
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without `=`"))?;
            let value = percent_decode_str(value).decode_utf8().map_err(|_| wrong("is not UTF-8"))?.into_owned();
            if value.is_empty() || value.contains(char::is_control) {
                return Err(Pkcs11UriError(format!("has no good value for `{name}`")));
            }
            let place = match name {
                "token" => &mut token,
                "object" => &mut object,
                "module-path" => &mut module,
                "pin-source" => &mut pin,
                "pin-value" => return Err(wrong("must not hold a PIN; name its file with `pin-source`")),
                _ => {
                    return Err(wrong(
                        "has a part that is not known; known are token, object, module-path and pin-source",
                    ));
                }
            };
            if place.replace(value).is_some() {
                return Err(Pkcs11UriError(format!("has `{name}` twice")));
            }
        }
        let needed = |name: &str| Pkcs11UriError(format!("lacks `{name}`"));
        let pin = pin.ok_or_else(|| needed("pin-source"))?;
        Ok(Self {
            token: token.ok_or_else(|| needed("token"))?,
            object: object.ok_or_else(|| needed("object"))?,
            module: module.ok_or_else(|| needed("module-path"))?.into(),
            pin: pin.strip_prefix("file:").unwrap_or(&pin).into(),
        })
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// What RFC 3986 leaves as it is, and the slash.
        const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let path = |path: &PathBuf| escaped(&path.to_string_lossy());
        write!(f, "pkcs11:token={};object={}", escaped(&self.token), escaped(&self.object))?;
        write!(f, "?module-path={}&pin-source={}", path(&self.module), path(&self.pin))
    }
}

/// A key of a key service, with an open session. One process opens one.
pub struct KeyService {
    uri: Pkcs11Uri,
    session: Session,
    key: ObjectHandle,
}

impl fmt::Debug for KeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyService({})", self.uri)
    }
}

impl KeyService {
    /// Signs in and finds the key.
    ///
    /// # Errors
    /// [`RootKeyError::KeyService`] says what is not there, or what the service refused.
    pub fn open(uri: &Pkcs11Uri) -> Result<Self, RootKeyError> {
        let service = Unkeyed::open(uri)?;
        match service.find()? {
            Some(key) => Ok(service.with(key)),
            None => Err(said(uri, &format!("has no key `{}`", uri.object))),
        }
    }

    /// The same, and makes the key when there is none: a secret that the service does not give out.
    ///
    /// # Errors
    /// See [`KeyService::open`].
    pub fn open_or_make_key(uri: &Pkcs11Uri) -> Result<Self, RootKeyError> {
        let service = Unkeyed::open(uri)?;
        let key = match service.find()? {
            Some(key) => key,
            None => service.make()?,
        };
        Ok(service.with(key))
    }
}

impl Lock for KeyService {
    fn kind(&self) -> LockKind {
        LockKind::Pkcs11(self.uri.clone())
    }

    fn locking_key(&self, salt: &[u8; 32]) -> Result<LockingKey, RootKeyError> {
        let mut message = b"meshkeep root key file".to_vec();
        message.extend_from_slice(salt);
        let digest = self.session.sign(&Mechanism::Sha256Hmac, self.key, &message);
        let digest = Zeroizing::new(digest.map_err(|error| refused(&self.uri, "compute HMAC-SHA-256", &error))?);
        let key =
            <[u8; 32]>::try_from(digest.as_slice()).map_err(|_| said(&self.uri, "gave a digest of a wrong size"))?;
        Ok(LockingKey(Key::from_bytes(*Zeroizing::new(key))))
    }
}

/// Signed in, the key not found yet.
struct Unkeyed<'a> {
    uri: &'a Pkcs11Uri,
    session: Session,
}

impl<'a> Unkeyed<'a> {
    fn open(uri: &'a Pkcs11Uri) -> Result<Self, RootKeyError> {
        let pin = read_pin(uri)?;
        // The operator names the module: it is code of this process from here on, as with every program that uses one.
        let service = Pkcs11::new(&uri.module).map_err(|error| refused(uri, "load its module", &error))?;
        match service.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(refused(uri, "start", &error)),
        }
        let slots =
            service.get_slots_with_initialized_token().map_err(|error| refused(uri, "list its tokens", &error))?;
        let named = |slot: &cryptoki::slot::Slot| {
            service.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == uri.token)
        };
        let slot = slots.into_iter().find(named).ok_or_else(|| said(uri, &format!("has no token `{}`", uri.token)))?;
        let session = service.open_rw_session(slot).map_err(|error| refused(uri, "open a session", &error))?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Self { uri, session }),
            Err(Error::Pkcs11(RvError::PinIncorrect, _)) => Err(said(uri, "refuses the PIN")),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(said(uri, "has locked the PIN")),
            Err(error) => Err(refused(uri, "sign in", &error)),
        }
    }

    fn find(&self) -> Result<Option<ObjectHandle>, RootKeyError> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Label(self.uri.object.clone().into_bytes()),
        ];
        let found = self.session.find_objects(&wanted).map_err(|error| refused(self.uri, "list its keys", &error))?;
        match found[..] {
            [] => Ok(None),
            [key] => Ok(Some(key)),
            _ => Err(said(self.uri, &format!("has several keys `{}`", self.uri.object))),
        }
    }

    fn make(&self) -> Result<ObjectHandle, RootKeyError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Label(self.uri.object.clone().into_bytes()),
            Attribute::ValueLen(32.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        self.session
            .generate_key(&Mechanism::GenericSecretKeyGen, &template)
            .map_err(|error| refused(self.uri, "make a key", &error))
    }

    fn with(self, key: ObjectHandle) -> KeyService {
        KeyService { uri: self.uri.clone(), session: self.session, key }
    }
}

fn read_pin(uri: &Pkcs11Uri) -> Result<Zeroizing<String>, RootKeyError> {
    let unread = |why: &dyn fmt::Display| said(uri, &format!("has no readable PIN: {why}"));
    if fs::metadata(&uri.pin).map_err(|error| unread(&error))?.len() > MOST_PIN_BYTES {
        return Err(unread(&"its file is too large"));
    }
    let text = Zeroizing::new(fs::read_to_string(&uri.pin).map_err(|error| unread(&error))?);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn said(uri: &Pkcs11Uri, why: &str) -> RootKeyError {
    RootKeyError::KeyService { uri: uri.to_string(), why: why.to_owned() }
}

/// The service's errors are names of constants, never what it was given.
fn refused(uri: &Pkcs11Uri, what: &str, error: &Error) -> RootKeyError {
    said(uri, &format!("could not {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_as_it_is_written_and_holds_no_pin() {
        let text = "pkcs11:token=my%20token;object=root%3Bkey?module-path=/usr/lib/x.so&pin-source=/etc/pin";
        let uri: Pkcs11Uri = text.parse().unwrap();
        assert_eq!((uri.token.as_str(), uri.object.as_str()), ("my token", "root;key"));
        assert_eq!(uri.to_string(), text);
        let file = "pkcs11:token=t;object=o?pin-source=file:/p&module-path=/m".parse::<Pkcs11Uri>().unwrap();
        assert_eq!(file.pin, PathBuf::from("/p"));
        for (text, word) in [
            ("softhsm", "pkcs11:"),
            ("pkcs11:token=t;object=o?module-path=/m", "pin-source"),
            ("pkcs11:token=t?module-path=/m&pin-source=/p", "object"),
            ("pkcs11:token=t;token=u;object=o?module-path=/m&pin-source=/p", "twice"),
            ("pkcs11:token=t;object=o?module-path=/m&pin-value=1234", "pin-source"),
            ("pkcs11:token=t;object=o;slot-id=1?module-path=/m&pin-source=/p", "not known"),
            ("pkcs11:token=;object=o?module-path=/m&pin-source=/p", "token"),
            ("pkcs11:token=%ff;object=o?module-path=/m&pin-source=/p", "UTF-8"),
            ("pkcs11:token=a%0ab;object=o?module-path=/m&pin-source=/p", "token"),
        ] {
            let why = text.parse::<Pkcs11Uri>().unwrap_err().to_string();
            assert!(why.contains(word) && !why.contains("1234"), "{text}: {why}");
        }
    }
}
