//! Who the container's process is: the image's `User`, looked up in the image's own `/etc/passwd` and `/etc/group`.
//!
//! The rules are the field's: a name or a number, an optional group after a colon; a number needs no entry; groups that
//! list the user are supplementary unless a group was given. What must stay true: ids outside the workload's range are
//! refused, never wrapped.

use super::{super::ids::RANGE, fault::Fault, rootfs::Rootfs};

/// A user of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside, its own first.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
}

impl Account {
    /// Finds the user that `wanted` names.
    pub(super) fn find(rootfs: &Rootfs, wanted: &str) -> Result<Self, Fault> {
        let read = |path| match rootfs.read(path) {
            Ok(text) => Ok(text.unwrap_or_default()),
            Err(error) => {
                let message = format!("the image's {path} cannot be read: {error}");
                Err(Fault::invalid("bad_user", message, "correct the image: it must be a plain text file"))
            }
        };
        Self::look_up(wanted, &read("/etc/passwd")?, &read("/etc/group")?)
    }

    fn look_up(wanted: &str, passwd: &str, group: &str) -> Result<Self, Fault> {
        let (user, given_group) = match wanted.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (wanted, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let entry = passwd.lines().filter_map(User::parse).find(|entry| entry.is(user));
        let (uid, default_gid, home, name) = match (entry, user.parse::<u32>()) {
            (Some(entry), _) => (entry.uid, entry.gid, entry.home, Some(entry.name)),
            (None, Ok(uid)) => (uid, 0, "/", None),
            (None, Err(_)) => return Err(unknown("user", user)),
        };
        let (gid, groups) = match given_group {
            Some(given) => (find_group(given, group)?, Vec::new()),
            None => (default_gid, name.map(|name| groups_of(name, group)).unwrap_or_default()),
        };
        let outside = |id: &u32| *id >= RANGE;
        if [uid, gid].iter().any(outside) {
            return Err(Fault::invalid(
                "bad_user",
                format!("the image's user `{wanted}` has an id above {}", RANGE - 1),
                "give the image a user with a smaller id",
            ));
        }
        // The own group too: a list that is not empty is always set, so none of the supervisor's is inherited.
        let others = groups.into_iter().filter(|id| !outside(id) && *id != gid);
        let groups = [gid].into_iter().chain(others).collect();
        let home = if home.starts_with('/') { home.to_owned() } else { "/".to_owned() };
        Ok(Self { uid, gid, groups, home })
    }
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<_> = line.trim_end().split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Self { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    }

    fn is(&self, wanted: &str) -> bool {
        self.name == wanted || wanted.parse() == Ok(self.uid)
    }
}

/// Name, id and members of a line of `/etc/group`.
fn group_line(line: &str) -> Option<(&str, u32, &str)> {
    let fields: Vec<_> = line.trim_end().split(':').collect();
    let [name, _, gid, members] = fields[..] else { return None };
    Some((name, gid.parse().ok()?, members))
}

fn find_group(wanted: &str, group: &str) -> Result<u32, Fault> {
    let found = group.lines().filter_map(group_line).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    found.or_else(|| wanted.parse().ok()).ok_or_else(|| unknown("group", wanted))
}

fn groups_of(user: &str, group: &str) -> Vec<u32> {
    let lines = group.lines().filter_map(group_line);
    lines.filter(|(.., members)| members.split(',').any(|member| member == user)).map(|(_, gid, _)| gid).collect()
}

fn unknown(what: &str, name: &str) -> Fault {
    Fault::invalid(
        "bad_user",
        format!("the image runs as the {what} `{name}`, which its /etc/passwd and /etc/group do not have"),
        "add it in the image, or give its number in USER",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n# c\nbroken:x\napp:x:1000:1001:App:/srv/app:/bin/sh\nbig:x:70000:1::/:\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nweb:x:33:app,other\naudio:x:29:app\nhuge:x:4000000000:app\n";

    fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
        let account = Account::look_up(user, PASSWD, GROUP).unwrap();
        (account.uid, account.gid, account.groups, account.home)
    }

    fn code(user: &str) -> String {
        Account::look_up(user, PASSWD, GROUP).unwrap_err().into_refusal().code
    }

    #[test]
    fn finds_users_as_images_name_them() {
        assert_eq!(found(""), (0, 0, vec![0], "/root".into()));
        assert_eq!(found("app"), (1000, 1001, vec![1001, 33, 29], "/srv/app".into()));
        assert_eq!(found("1000"), found("app"));
        assert_eq!(found("app:web"), (1000, 33, vec![33], "/srv/app".into()));
        assert_eq!(found("app:7"), (1000, 7, vec![7], "/srv/app".into()));
        assert_eq!(found("4242"), (4242, 0, vec![0], "/".into()));
        assert_eq!(found(":web"), (0, 33, vec![33], "/root".into()));
    }

    #[test]
    fn refuses_what_is_not_there_or_not_ours() {
        for user in ["nobody", "app:nogroup", "70000", "big", "0:65536", "4294967295", "-1"] {
            assert_eq!(code(user), "bad_user", "{user}");
        }
    }
}
