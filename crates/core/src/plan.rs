//! What a session runs, and what comes next for a workload: pure decisions.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Refusal, RefusalKind, Timestamp,
    name::ServiceName,
    workload::{SessionState, WorkloadState},
};

/// Services of one session at most: its network has this many addresses to give.
pub const MAX_SERVICES: usize = 60;

/// After this long in good health the next crash counts as the first.
const HEALTHY: Duration = Duration::from_secs(300);

/// The longest pause before a restart.
const LONGEST: Duration = Duration::from_secs(60);

/// The pause before restart number `restarts` (from 0): 1 s, doubling to 60 s.
#[must_use]
pub fn backoff(restarts: u32) -> Duration {
    Duration::from_secs(1 << restarts.min(6)).min(LONGEST)
}

/// How long is left of a pause that ends at `at`. A clock that is put back does not make it longer than the longest one.
#[must_use]
pub fn left_of_backoff(at: Timestamp, now: Timestamp) -> Duration {
    let left = at.as_millis().saturating_sub(now.as_millis()).max(0);
    Duration::from_millis(left.unsigned_abs()).min(LONGEST)
}

/// Whether a process that ran from `started` to `now` was up long enough to begin counting anew.
#[must_use]
pub const fn resets_backoff(started: Timestamp, now: Timestamp) -> bool {
    now.as_millis().saturating_sub(started.as_millis()) >= HEALTHY.as_secs() as i64 * 1000
}

/// Gives every service of a session its place on the session's network, in the order given.
///
/// # Errors
/// Two names that are the same host name, or more services than a session's network has addresses.
pub fn places<'a>(services: impl IntoIterator<Item = &'a ServiceName>) -> Result<Vec<(ServiceName, u8)>, Refusal> {
    let mut hosts = BTreeMap::<String, &ServiceName>::new();
    let mut placed = Vec::new();
    for (place, name) in services.into_iter().enumerate() {
        if let Some(other) = hosts.insert(name.as_str().to_ascii_lowercase(), name) {
            return Err(same_host(other, name));
        }
        let place = u8::try_from(place).ok().filter(|place| usize::from(*place) < MAX_SERVICES).ok_or_else(too_many)?;
        placed.push((name.clone(), place));
    }
    Ok(placed)
}

/// The lowest place that none of these has, for one more of this name.
///
/// # Errors
/// As [`places`].
pub fn free_place<'a>(
    taken: impl IntoIterator<Item = (&'a ServiceName, u8)>,
    name: &ServiceName,
) -> Result<u8, Refusal> {
    let taken: Vec<_> = taken.into_iter().collect();
    if let Some((other, _)) = taken.iter().find(|(other, _)| other.as_str().eq_ignore_ascii_case(name.as_str())) {
        return Err(same_host(other, name));
    }
    let is_free = |place: &u8| taken.iter().all(|(_, other)| other != place);
    (0..).take(MAX_SERVICES).find(is_free).ok_or_else(too_many)
}

fn same_host(one: &ServiceName, other: &ServiceName) -> Refusal {
    let message = format!("the services {one} and {other} would have the same host name in this session");
    Refusal::new(RefusalKind::Conflict, "same_host_name", message).hint("rename one of them")
}

fn too_many() -> Refusal {
    let message = format!("a session runs at most {MAX_SERVICES} services");
    Refusal::new(RefusalKind::TooLarge, "over_a_limit", message)
        .hint("delete services or containers that have ended, or mark some `on_demand`")
}

/// The session's state from its workloads'. One that waits for its restart counts as failed.
#[must_use]
pub fn session_state<'a>(workloads: impl IntoIterator<Item = &'a WorkloadState>) -> SessionState {
    let mut state = SessionState::Ready;
    for workload in workloads {
        match workload {
            WorkloadState::Failed { .. } => return SessionState::Degraded,
            WorkloadState::Exited { code } if *code != 0 => return SessionState::Degraded,
            WorkloadState::Ready | WorkloadState::Exited { .. } | WorkloadState::Stopped => {}
            _ => state = SessionState::Starting,
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_state() -> impl Strategy<Value = WorkloadState> {
        use WorkloadState::*;
        let failed = Failed { reason: Refusal::new(RefusalKind::Invalid, "x", "x") };
        let plain = [Pending, Pulling, Starting, Running, Ready, Stopped, failed];
        prop_oneof![
            4 => proptest::sample::select(plain.to_vec()),
            1 => (-1..3).prop_map(|code| Exited { code }),
        ]
    }

    proptest! {
        #[test]
        fn every_service_gets_a_place_of_its_own_in_order(names in proptest::collection::vec("[aAbB][a-d]{0,2}", 0..70)) {
            let names: Vec<ServiceName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let hosts: std::collections::BTreeSet<_> =
                names.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
            match places(&names) {
                Ok(placed) => {
                    prop_assert!(hosts.len() == names.len() && names.len() <= MAX_SERVICES);
                    let expected: Vec<_> = names.iter().cloned().zip(0..).collect();
                    prop_assert_eq!(placed, expected);
                }
                Err(refusal) if refusal.code == "same_host_name" => prop_assert!(hosts.len() < names.len()),
                Err(_) => prop_assert!(names.len() > MAX_SERVICES),
            }
        }

        #[test]
        fn a_sessions_state_is_one_of_three_questions(states in proptest::collection::vec(any_state(), 0..8)) {
            use WorkloadState::*;
            let any = |is: fn(&WorkloadState) -> bool| states.iter().any(is);
            let expected = if any(|state| matches!(state, Failed { .. }) || matches!(state, Exited { code } if *code != 0)) {
                SessionState::Degraded
            } else if any(|state| matches!(state, Pending | Pulling | Starting | Running)) {
                SessionState::Starting
            } else {
                SessionState::Ready
            };
            prop_assert_eq!(session_state(&states), expected);
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_no_pause_longer_than_the_longest() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        assert_eq!(left_of_backoff(at(100), at(96)), Duration::from_secs(4));
        assert_eq!(left_of_backoff(at(100), at(100 - 365 * 86_400)), LONGEST, "put back by a year");
        assert_eq!(left_of_backoff(at(100), at(100 + 365 * 86_400)), Duration::ZERO, "put forward by a year");
        assert_eq!(left_of_backoff(Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN)), LONGEST);
        assert!(!resets_backoff(at(100), at(0)));
    }

    #[test]
    fn backoff_doubles_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff(u32::MAX).as_secs(), 60);
    }

    #[test]
    fn five_minutes_up_reset_it() {
        let at = Timestamp::from_millis;
        assert!(!resets_backoff(at(0), at(299_999)));
        assert!(resets_backoff(at(0), at(300_000)));
        assert!(!resets_backoff(at(10), at(5)), "a clock that went back resets nothing");
    }

    #[test]
    fn host_names_are_unique_whatever_their_case() {
        let names: Vec<ServiceName> = ["api", "Worker"].map(|n| n.parse().unwrap()).to_vec();
        assert_eq!(places(&names).unwrap(), [(names[0].clone(), 0), (names[1].clone(), 1)]);
        let clash: Vec<ServiceName> = ["api", "API"].map(|n| n.parse().unwrap()).to_vec();
        assert_eq!(places(&clash).unwrap_err().code, "same_host_name");
        let many: Vec<ServiceName> = (0..=MAX_SERVICES).map(|n| format!("s{n}").parse().unwrap()).collect();
        assert_eq!(places(&many[..MAX_SERVICES]).unwrap().len(), MAX_SERVICES);
        assert_eq!(places(&many).unwrap_err().code, "over_a_limit");
    }

    #[test]
    fn one_more_gets_the_lowest_free_place() {
        let names: Vec<ServiceName> = ["a", "b", "c"].map(|n| n.parse().unwrap()).to_vec();
        let taken = || names.iter().zip([0, 2, 1]);
        assert_eq!(free_place(taken(), &"d".parse().unwrap()).unwrap(), 3);
        assert_eq!(free_place(taken().take(2), &"d".parse().unwrap()).unwrap(), 1);
        assert_eq!(free_place(taken(), &"B".parse().unwrap()).unwrap_err().code, "same_host_name");
        let many: Vec<ServiceName> = (0..MAX_SERVICES).map(|n| format!("s{n}").parse().unwrap()).collect();
        assert_eq!(free_place(many.iter().zip(0..), &"x".parse().unwrap()).unwrap_err().code, "over_a_limit");
    }

    #[test]
    fn a_session_is_as_good_as_its_worst_service() {
        let failed = WorkloadState::Failed { reason: Refusal::new(RefusalKind::Invalid, "x", "x") };
        let of = |states: &[&WorkloadState]| session_state(states.iter().copied());
        use WorkloadState::{Exited, Ready, Running};
        assert_eq!(of(&[]), SessionState::Ready);
        assert_eq!(of(&[&Ready, &Exited { code: 0 }]), SessionState::Ready);
        assert_eq!(of(&[&Ready, &Running]), SessionState::Starting);
        assert_eq!(of(&[&Running, &failed]), SessionState::Degraded);
        assert_eq!(of(&[&Ready, &Exited { code: 3 }]), SessionState::Degraded);
    }
}
