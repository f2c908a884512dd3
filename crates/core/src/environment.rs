//! The environment of a service: one pure function, lowest to highest — the image's `ENV`, platform variables, secret
//! keys in the order they are bound, explicit `environment` entries.
//!
//! The answer carries where each name came from and what it hid, so that people can be shown winners and losers
//! without any value.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use crate::{
    Refusal, RefusalKind, SecretText,
    name::{EntryName, SecretName},
    secret::{Entries, is_secret_like},
};

/// Linux's `MAX_ARG_STRLEN` (include/uapi/linux/binfmts.h): one `NAME=value` with its NUL may hold at most this many
/// bytes, so `NAME=value` itself must be shorter.
pub const MAX_STRING_BYTES: usize = 131_072;

/// Where a variable came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The image's `ENV`.
    Image,
    /// Set by meshkeep.
    Platform,
    /// An entry of a bound secret key.
    Secret(SecretName),
    /// A token or a key that meshkeep makes for the service.
    Issued,
    /// A secret of a participant of the room.
    RoomSecret,
    /// An `environment` entry of the manifest.
    Manifest,
    /// One whose value is sealed, whatever it is called.
    Sealed,
}

/// One variable as the service will see it.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: EntryName,
    /// Its value.
    pub value: SecretText,
    /// Where the winner came from.
    pub origin: Origin,
    /// Whose values it hides, lowest first.
    pub hides: Vec<Origin>,
}

impl Variable {
    /// Whether its value is kept out of logs: an entry of a secret key, a participant's secret, a token or key of
    /// meshkeep's, or an `environment` entry that is sealed for its secret-like name.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        match self.origin {
            Origin::Secret(_) | Origin::Issued | Origin::RoomSecret | Origin::Sealed => true,
            Origin::Manifest => is_secret_like(self.name.as_str()),
            Origin::Image | Origin::Platform => false,
        }
    }
}

/// A service's whole environment, in name order.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub Vec<Variable>);

/// Bound on the whole environment: the kernel gives arguments and environment together a quarter of the stack limit
/// (`fs/exec.c`, `bprm_stack_limits`), which is 8 MiB by default; half of that quarter is left to the arguments.
pub const MAX_TOTAL_BYTES: usize = 1 << 20;

/// Checks one entry as it is saved: no NUL, and short enough for the kernel.
///
/// # Errors
/// `Invalid`, naming the entry and its size, never the value.
pub fn check_entry(name: &EntryName, value: &SecretText) -> Result<(), Refusal> {
    let field = format!("data.{name}");
    if value.expose().contains('\0') {
        return Err(Refusal::invalid(&field, "holds a NUL byte, which no environment variable can"));
    }
    let size = name.as_str().len() + 1 + value.len();
    if size >= MAX_STRING_BYTES {
        return Err(Refusal::invalid(
            &field,
            format!("takes {size} bytes as NAME=value; Linux starts no process with {MAX_STRING_BYTES} or more"),
        )
        .hint("split the value, or let the service fetch it"));
    }
    Ok(())
}

/// Everything an environment is made of, lowest first.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The image's `ENV`; names that are no variable names are left out.
    pub image: &'a [(String, String)],
    /// Platform variables.
    pub platform: &'a [(EntryName, SecretText)],
    /// Tokens and keys that the platform gives by itself.
    pub issued: &'a [(EntryName, SecretText)],
    /// Bound secret keys, in order.
    pub secret_keys: &'a [(SecretName, Entries)],
    /// The manifest's `environment`: its values,
    pub manifest: &'a [(EntryName, SecretText)],
    /// those of them that are sealed whatever they are called,
    pub sealed: &'a BTreeSet<EntryName>,
    /// its tokens,
    pub tokens: &'a [(EntryName, SecretText)],
    /// and its secrets of participants.
    pub room_secrets: &'a [(EntryName, SecretText)],
}

impl Default for Sources<'_> {
    fn default() -> Self {
        static NONE: BTreeSet<EntryName> = BTreeSet::new();
        Self {
            image: &[],
            platform: &[],
            issued: &[],
            secret_keys: &[],
            manifest: &[],
            sealed: &NONE,
            tokens: &[],
            room_secrets: &[],
        }
    }
}

/// Whether a variable of this name changes how programs run, rather than what they know: what somebody who may only start
/// a service must not add to it.
#[must_use]
pub fn changes_programs(name: &EntryName) -> bool {
    const NAMES: [&str; 34] = [
        "BASH_ENV",
        "CDPATH",
        "CURL_CA_BUNDLE",
        "CURL_HOME",
        "EDITOR",
        "ENV",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "HOME",
        "HOSTALIASES",
        "IFS",
        "JAVA_OPTS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "LOCPATH",
        "NLSPATH",
        "NODE_OPTIONS",
        "NODE_PATH",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "PAGER",
        "PATH",
        "PROMPT_COMMAND",
        "PS4",
        "REQUESTS_CA_BUNDLE",
        "RES_OPTIONS",
        "RESOLV_HOST_CONF",
        "RUBYLIB",
        "RUBYOPT",
        "SHELLOPTS",
        "SSLKEYLOGFILE",
        "TMPDIR",
        "VISUAL",
        "_JAVA_OPTIONS",
    ];
    const BEGINNINGS: [&str; 19] = [
        "BASH_FUNC_",
        "BUNDLE_",
        "CARGO_",
        "COMPLUS_",
        "CORECLR_",
        "DENO_",
        "DOTNET_",
        "DYLD_",
        "GIT_",
        "GOFLAGS",
        "LD_",
        "MALLOC_",
        "MESHAGENT_",
        "NODE_EXTRA_",
        "NPM_CONFIG_",
        "OTEL_",
        "PERL5",
        "PIP_",
        "PYTHON",
    ];
    let name = name.as_str().to_ascii_uppercase();
    NAMES.contains(&name.as_str())
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || name.ends_with("_PROXY")
        || name.starts_with("SSL_CERT_")
}

/// Assembles the environment. Later sources win; the answer says what they hid.
///
/// # Errors
/// `over_a_limit`, naming the entry and its size, or the total.
pub fn assemble(sources: &Sources<'_>) -> Result<Environment, Refusal> {
    let mut variables = BTreeMap::<EntryName, Variable>::new();
    let mut put = |name: &EntryName, value: SecretText, origin: Origin| match variables.entry(name.clone()) {
        Entry::Vacant(slot) => {
            slot.insert(Variable { name: name.clone(), value, origin, hides: Vec::new() });
        }
        Entry::Occupied(mut slot) => {
            let variable = slot.get_mut();
            let hidden = std::mem::replace(&mut variable.origin, origin);
            variable.hides.push(hidden);
            variable.value = value;
        }
    };
    for (name, value) in sources.image {
        if let Ok(name) = name.parse() {
            put(&name, value.as_str().into(), Origin::Image);
        }
    }
    for (name, value) in sources.platform {
        put(name, value.clone(), Origin::Platform);
    }
    for (name, value) in sources.issued {
        put(name, value.clone(), Origin::Issued);
    }
    for (secret, entries) in sources.secret_keys {
        for (name, value) in entries {
            put(name, value.clone(), Origin::Secret(secret.clone()));
        }
    }
    let manifest = [
        (sources.manifest, Origin::Manifest),
        (sources.tokens, Origin::Issued),
        (sources.room_secrets, Origin::RoomSecret),
    ];
    for (entries, origin) in manifest {
        for (name, value) in entries {
            let is_sealed = origin == Origin::Manifest && sources.sealed.contains(name);
            put(name, value.clone(), if is_sealed { Origin::Sealed } else { origin.clone() });
        }
    }
    let environment = Environment(variables.into_values().collect());
    check_sizes(&environment)?;
    Ok(environment)
}

fn check_sizes(environment: &Environment) -> Result<(), Refusal> {
    let over = |message| Refusal::new(RefusalKind::TooLarge, "over_a_limit", message);
    let mut total = 0;
    for Variable { name, value, .. } in &environment.0 {
        let size = name.as_str().len() + 1 + value.len();
        if size >= MAX_STRING_BYTES {
            return Err(over(format!(
                "the variable {name} takes {size} bytes as NAME=value; Linux starts no process with \
                 {MAX_STRING_BYTES} or more"
            ))
            .hint("make the value shorter"));
        }
        total += size + 1 + size_of::<usize>();
    }
    if total > MAX_TOTAL_BYTES {
        return Err(over(format!("the environment takes {total} bytes; at most {MAX_TOTAL_BYTES} are allowed"))
            .hint("bind fewer secret keys to this service, or shorter values"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> EntryName {
        text.parse().unwrap()
    }

    fn values(environment: &Environment) -> Vec<(String, String)> {
        environment.0.iter().map(|v| (v.name.to_string(), v.value.expose().to_owned())).collect()
    }

    #[test]
    fn what_is_sealed_is_kept_out_of_logs() {
        let is_secret = |text: &str, origin: Origin| {
            Variable { name: name(text), value: "value".into(), origin, hides: Vec::new() }.is_secret()
        };
        let key = || Origin::Secret("weather".parse().unwrap());
        assert!(is_secret("PLACE", key()) && is_secret("API_TOKEN", key()) && is_secret("API_TOKEN", Origin::Manifest));
        assert!(is_secret("A", Origin::Issued) && is_secret("A", Origin::RoomSecret));
        assert!(!is_secret("PLACE", Origin::Manifest));
        assert!(!is_secret("API_TOKEN", Origin::Image) && !is_secret("API_TOKEN", Origin::Platform));
    }

    #[test]
    fn what_changes_programs_is_known_by_name() {
        for yes in
            ["LD_PRELOAD", "https_proxy", "NO_PROXY", "NODE_OPTIONS", "PYTHONPATH", "PATH", "SSL_CERT_FILE", "perl5opt"]
        {
            assert!(changes_programs(&name(yes)), "{yes}");
        }
        for no in ["CITY", "API_URL", "PROXY", "LEADER", "PATHS"] {
            assert!(!changes_programs(&name(no)), "{no}");
        }
    }

    #[test]
    fn later_sources_win_and_say_what_they_hid() {
        let image = [("A".to_owned(), "image".to_owned()), ("not a name".to_owned(), "x".to_owned())];
        let first = Entries::from([(name("A"), "first".into()), (name("B"), "first".into())]);
        let second = Entries::from([(name("B"), "second\nline ".into())]);
        let (one, two): (SecretName, SecretName) = ("one".parse().unwrap(), "two".parse().unwrap());
        let environment = assemble(&Sources {
            image: &image,
            platform: &[(name("P"), "platform".into())],
            secret_keys: &[(one.clone(), first), (two.clone(), second)],
            manifest: &[(name("A"), "manifest".into())],
            ..Sources::default()
        })
        .unwrap();
        assert_eq!(
            values(&environment),
            [("A", "manifest"), ("B", "second\nline "), ("P", "platform")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(environment.0[0].hides, [Origin::Image, Origin::Secret(one.clone())]);
        assert_eq!(environment.0[1].origin, Origin::Secret(two));
        assert_eq!(environment.0[1].hides, [Origin::Secret(one)]);
    }

    #[test]
    fn the_kernels_limits_are_refused_with_name_and_size() {
        let long = |n: usize| [(name("BIG"), SecretText::new("x".repeat(n)))];
        let largest = long(MAX_STRING_BYTES - "BIG=".len() - 1);
        assert!(assemble(&Sources { manifest: &largest, ..Sources::default() }).is_ok());
        let over = long(MAX_STRING_BYTES - "BIG=".len());
        let refusal = assemble(&Sources { manifest: &over, ..Sources::default() }).unwrap_err();
        assert_eq!(refusal.code, "over_a_limit");
        assert!(refusal.message.contains("BIG") && refusal.message.contains("131072 bytes"), "{refusal}");
        assert!(check_entry(&name("BIG"), &over[0].1).is_err());
        assert!(check_entry(&name("NUL"), &"a\0b".into()).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(
            layers in proptest::collection::vec(proptest::collection::vec(("[A-C]", "\\PC{0,8}"), 0..4), 4)
        ) {
            let pairs = |i: usize| layers[i].iter().map(|(n, v)| (name(n), SecretText::from(v.as_str()))).collect::<Vec<_>>();
            let keys = [("k".parse().unwrap(), pairs(2).into_iter().collect::<Entries>())];
            let environment = assemble(&Sources {
                image: &layers[0], platform: &pairs(1), secret_keys: &keys, manifest: &pairs(3), ..Sources::default()
            }).unwrap();
            let mut model = BTreeMap::new();
            for layer in &layers {
                model.extend(layer.iter().cloned());
            }
            prop_assert_eq!(values(&environment), model.into_iter().collect::<Vec<_>>());
        }
    }
}
