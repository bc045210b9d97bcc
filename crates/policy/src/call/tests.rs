//! The table of outcomes as stories: what happens, and what the call does about it.

use std::cell::{Cell, RefCell};

use types::features::Features;
use types::ids::RouteName;
use types::money::NanoDollars;
use types::outcome::Scope;

use super::*;
use crate::call::action::Continuation;
use crate::rest::RestReason;
use crate::route::{OnContentFilter, OnMalformed, OnUnsupported, TierPolicy};
use crate::target::{DomainIx, TargetFacts, tests::facts};
use crate::view::{Admission, TargetStatus};

const START: Now = Now {
    mono: Mono(1_000_000_000_000),
    wall: types::time::UnixMillis(1_700_000_000_000),
};

/// Targets whose state the test sets.
pub(super) struct Scene {
    pub(super) facts: Vec<TargetFacts>,
    pub(super) status: RefCell<Vec<TargetStatus>>,
    pub(super) retries: Cell<bool>,
    pub(super) troubled: Vec<DomainIx>,
    /// What an attempt costs; no prices beyond the end.
    pub(super) costs: Vec<Option<NanoDollars>>,
}

impl Scene {
    pub(super) fn of(targets: u32) -> Scene {
        Scene {
            facts: (0..targets).map(facts).collect(),
            status: RefCell::new((0..targets).map(|_| ready()).collect()),
            retries: Cell::new(true),
            troubled: Vec::new(),
            costs: Vec::new(),
        }
    }

    pub(super) fn with(self, target: usize, admission: Admission) -> Scene {
        self.status.borrow_mut()[target].admission = admission;
        self
    }
}

fn ready() -> TargetStatus {
    TargetStatus {
        admission: Admission::Ready,
        in_flight: 0,
        credential: Some(CredentialIx(0)),
        probation: false,
        no_headroom: false,
    }
}

pub(super) fn open(secs: u64) -> Admission {
    Admission::Open {
        until: START.after(Duration::from_secs(secs)).mono,
    }
}

fn resting(secs: u64, why: RestReason) -> Admission {
    Admission::Resting {
        until: START.after(Duration::from_secs(secs)).mono,
        why,
    }
}

impl TargetsView for Scene {
    fn facts(&self, target: TargetIx) -> &TargetFacts {
        &self.facts[target.0 as usize]
    }
    fn status(&self, target: TargetIx, _: Now) -> TargetStatus {
        self.status.borrow()[target.0 as usize]
    }
    fn retry_allowed(&self, _: Now) -> bool {
        self.retries.get()
    }
    fn troubled_domain(&self, domain: DomainIx) -> bool {
        self.troubled.contains(&domain)
    }
    fn expected_cost(&self, target: TargetIx, _: &CallFacts) -> Option<NanoDollars> {
        self.costs.get(target.0 as usize).copied().flatten()
    }
    fn other_credential(&self, target: TargetIx, tried: &[CredentialIx], _: Now) -> Option<CredentialIx> {
        (0..self.facts(target).credentials)
            .map(CredentialIx)
            .find(|c| !tried.contains(c))
    }
}

/// A route of tiers, one letter a target: `"a bc"` is target 0, then targets 1 and 2 in the second tier.
pub(super) fn route(tiers: &str) -> RoutePolicy {
    let tier = |word: &str| TierPolicy::of(word.bytes().map(|b| TargetIx(u32::from(b - b'a'))));
    RoutePolicy::new(RouteName::from("chat"), tiers.split(' ').map(tier).collect())
}

fn stream() -> CallFacts {
    CallFacts {
        stream: true,
        ..CallFacts::default()
    }
}

/// What the call does in a story, as words: `a1` launches target `a` as attempt 1 (`a2r` as a retry, `b2f` as a
/// fallback, `b2+prefill` as a continuation, `!` forced), `x1` cancels, `commit1`, `done`, `fail:class`.
pub(super) struct Told {
    pub(super) call: Call,
    pub(super) actions: Vec<String>,
    pub(super) effects: Vec<String>,
    now: Now,
}

pub(super) fn tell(policy: RoutePolicy, facts: CallFacts, scene: &Scene, story: &str) -> Told {
    let mut told = Told {
        call: Call::new(Arc::new(policy), facts, 1, scene, START),
        actions: Vec::new(),
        effects: Vec::new(),
        now: START,
    };
    told.drain();
    for word in story.split_whitespace() {
        told.hear(word, scene);
        told.drain();
    }
    told
}

/// One story, one line of what is done about it.
#[track_caller]
pub(super) fn check(policy: RoutePolicy, facts: CallFacts, scene: &Scene, story: &str, expected: &str) {
    assert_eq!(tell(policy, facts, scene, story).actions.join(" "), expected, "{story}");
}

impl Told {
    fn hear(&mut self, word: &str, scene: &Scene) {
        let attempt = AttemptNo(self.call.numbered);
        let (word, argument) = word.split_once(':').unwrap_or((word, ""));
        let event = match word {
            "connected" => AttemptEvent::Connected { attempt },
            "headers" => AttemptEvent::Headers { attempt },
            "alive" => AttemptEvent::Alive { attempt },
            "content" => AttemptEvent::Content {
                attempt,
                bytes: argument.parse().unwrap_or(1),
            },
            "tool" => AttemptEvent::Unresumable {
                attempt,
                why: "tool call",
            },
            "finished" => AttemptEvent::Finished { attempt },
            "refused" => AttemptEvent::Refused { attempt },
            "unaffordable" => AttemptEvent::Unaffordable { attempt },
            "unsupported" => AttemptEvent::Unsupported {
                attempt,
                message: "n > 1".into(),
            },
            "paused" => AttemptEvent::Paused { attempt },
            "resumed" => AttemptEvent::Resumed { attempt },
            "died" => AttemptEvent::Failed {
                attempt,
                failure: Failure::new(OutcomeClass::Network, "reset"),
                reused_connection_died: true,
            },
            "fail" => {
                let (class, hint) = argument.split_once('@').unwrap_or((argument, ""));
                let class = *OutcomeClass::ALL.iter().find(|c| c.as_str() == class).unwrap();
                AttemptEvent::Failed {
                    attempt,
                    failure: Failure {
                        retry_after: hint.parse().ok().map(Duration::from_millis),
                        ..Failure::new(class, "told so")
                    },
                    reused_connection_died: false,
                }
            }
            "wait" => {
                let until = self.now.after(Duration::from_millis(argument.parse().unwrap()));
                while let Some((at, _)) = self.call.poll_timeout()
                    && at <= until.mono
                {
                    self.now = self.now.after(at.since(self.now.mono));
                    self.call.handle_timeout(scene, self.now);
                    self.drain();
                }
                self.now = until;
                return;
            }
            "cancel" => return self.call.cancel(self.now),
            other => panic!("no such word: {other}"),
        };
        self.call.handle_event(event, scene, self.now);
    }

    fn drain(&mut self) {
        while let Some(effect) = self.call.poll_effect() {
            let told = match effect {
                Effect::CallStarted => continue,
                Effect::RetrySpent => "spent".into(),
                Effect::Settle { attempt, verdict, .. } => format!("{verdict:?}{}", attempt.0),
                Effect::Rest {
                    target, scope, reason, ..
                } => format!("rest:{}:{scope:?}:{}", letter(target), reason.as_str()),
                Effect::Recovered { target, .. } => format!("recovered:{}", letter(target)),
                Effect::CredentialReleased { credential, .. } => format!("released:{}", credential.0),
                Effect::ProviderReleased { target } => format!("released:{}", letter(target)),
                Effect::ConnectFailed { target } => format!("unreachable:{}", letter(target)),
                Effect::ConnectOk { .. } => continue,
                Effect::Record {
                    attempt,
                    class,
                    timeout,
                } => {
                    let timeout = timeout.map(|t| format!("/{}", t.as_str()));
                    format!("{}{}{}", class.as_str(), timeout.unwrap_or_default(), attempt.0)
                }
                Effect::Alert { .. } => "alert".into(),
            };
            self.effects.push(told);
        }
        while let Some(action) = self.call.poll_action() {
            self.actions.push(match action {
                Action::Launch(l) => {
                    let kind = match (l.kind, l.continuation) {
                        (AttemptKind::First, _) => "",
                        (AttemptKind::Retry, _) => "r",
                        (AttemptKind::Fallback, _) => "f",
                        (AttemptKind::Resume, Some(Continuation::Prefill)) => "+prefill",
                        (AttemptKind::Resume, Some(Continuation::Instruct)) => "+instruct",
                        (AttemptKind::Resume, None) => panic!("a continuation says how"),
                    };
                    let forced = if l.forced { "!" } else { "" };
                    let fresh = if l.fresh_connection { "*" } else { "" };
                    let credential = if l.credential.0 > 0 { "'" } else { "" };
                    format!("{}{}{kind}{forced}{fresh}{credential}", letter(l.target), l.attempt.0)
                }
                Action::Cancel(attempt) => format!("x{}", attempt.0),
                Action::Commit(attempt) => format!("commit{}", attempt.0),
                Action::Done => "done".into(),
                Action::Fail(f) => {
                    let after = if f.after_commit { "/after_commit" } else { "" };
                    let timeout = f.failure.timeout.map(|t| format!("/{}", t.as_str()));
                    let again = f.retry_after.map(|d| format!("@{}", d.as_secs()));
                    let text = f.malformed_text.map(|a| format!("=text{}", a.0));
                    let money = if f.unaffordable { "/unaffordable" } else { "" };
                    format!(
                        "fail:{}{}{after}{money}{}{}",
                        f.failure.class.as_str(),
                        timeout.unwrap_or_default(),
                        again.unwrap_or_default(),
                        text.unwrap_or_default()
                    )
                }
            });
        }
    }
}

pub(super) fn letter(target: TargetIx) -> char {
    char::from(b'a' + target.0 as u8)
}

#[test]
fn each_class_is_retried_and_falls_back_as_the_table_says() {
    for (story, expected) in [
        ("finished", "a1 commit1 done"),
        ("fail:rate_limited", "a1 b2f"),
        (
            "fail:rate_limited@1500 wait:1500 wait:200 finished",
            "a1 a2r commit2 done",
        ),
        ("fail:rate_limited@2001", "a1 b2f"),
        ("fail:quota_exhausted", "a1 b2f"),
        ("fail:overloaded wait:500 finished", "a1 a2r commit2 done"),
        ("fail:overloaded wait:500 fail:overloaded", "a1 a2r b3f"),
        ("fail:overloaded@30000", "a1 b2f"),
        ("fail:server_error wait:500 fail:network", "a1 a2r b3f"),
        ("fail:network wait:500", "a1 a2r"),
        ("fail:timeout", "a1 b2f"),
        ("wait:5000 wait:500", "a1 x1 a2r"),
        ("fail:auth", "a1 b2f"),
        ("fail:model_not_found", "a1 b2f"),
        ("fail:bad_response wait:500", "a1 a2r"),
        ("fail:malformed_output wait:500", "a1 a2r"),
        ("fail:stream_broken wait:500", "a1 a2r"),
        ("fail:context_too_long", "a1 fail:context_too_long"),
        ("fail:content_filtered", "a1 fail:content_filtered"),
        ("fail:invalid_request", "a1 fail:invalid_request"),
        ("unsupported finished", "a1 b2f commit2 done"),
        ("unsupported unsupported", "a1 b2f fail:unsupported"),
        ("fail:cancelled", "a1 x1"),
        // A target that merely cannot say it does not hide why the better one failed.
        ("fail:auth unsupported", "a1 b2f fail:auth"),
        (
            "fail:quota_exhausted fail:rate_limited@7000",
            "a1 b2f fail:rate_limited@7",
        ),
    ] {
        check(route("a b"), CallFacts::default(), &Scene::of(2), story, expected);
    }
}

#[test]
fn the_client_hears_the_last_class_when_there_is_no_other_target() {
    for class in OutcomeClass::ALL {
        let retried = outcome_is_retried(class);
        let story = if retried {
            format!("fail:{0} wait:2000 fail:{0}", class.as_str())
        } else {
            format!("fail:{}", class.as_str())
        };
        let told = match class {
            OutcomeClass::Success => "bad_response",
            other => other.as_str(),
        };
        let expected = match class {
            OutcomeClass::Cancelled => "a1 x1".to_owned(),
            OutcomeClass::Success => "a1".to_owned(),
            _ if retried => format!("a1 a2r fail:{told}"),
            _ => format!("a1 fail:{told}"),
        };
        check(route("a"), CallFacts::default(), &Scene::of(1), &story, &expected);
    }
}

fn outcome_is_retried(class: OutcomeClass) -> bool {
    crate::outcome::retries(class, None, &Default::default()) > 0
}

#[test]
fn what_the_breaker_the_rests_and_the_alerts_are_told() {
    for (story, expected) in [
        ("finished", "Success1 success1"),
        (
            "fail:rate_limited",
            "RateLimited1 rate_limited1 rest:a:Target:rate_limited",
        ),
        (
            "fail:quota_exhausted",
            "Neutral1 quota_exhausted1 rest:a:Credential:quota_exhausted alert",
        ),
        ("fail:server_error", "Failure1 server_error1 spent"),
        ("fail:timeout", "Failure1 timeout1"),
        ("wait:5000", "Failure1 timeout/connect1 unreachable:a spent"),
        ("fail:auth", "Neutral1 auth1 rest:a:Credential:auth alert"),
        (
            "fail:model_not_found",
            "Neutral1 model_not_found1 rest:a:Target:model_missing alert",
        ),
        ("fail:bad_response", "Failure1 bad_response1 spent"),
        ("fail:malformed_output", "Neutral1 malformed_output1 spent"),
        ("fail:context_too_long", "Neutral1 context_too_long1"),
        ("fail:content_filtered", "Neutral1 content_filtered1"),
        ("fail:invalid_request", "Neutral1 invalid_request1"),
        ("unsupported", "Neutral1 unsupported1"),
        ("connected cancel", "Neutral1 cancelled1"),
        ("connected wait:600000", "Neutral1 timeout/deadline1"),
        ("died", "Neutral1 network1"),
        ("refused", ""),
    ] {
        let told = tell(route("a b"), CallFacts::default(), &Scene::of(2), story);
        assert_eq!(told.effects.join(" "), expected, "{story}");
    }
}

#[test]
fn a_failure_before_the_first_content_is_invisible_and_one_after_it_is_an_error() {
    for (story, expected) in [
        (
            "headers alive alive fail:overloaded wait:500 content finished",
            "a1 a2r commit2 done",
        ),
        (
            "headers content fail:network",
            "a1 commit1 fail:stream_broken/after_commit",
        ),
        ("content fail:overloaded", "a1 commit1 fail:overloaded/after_commit"),
        (
            "content content:9 wait:30000",
            "a1 commit1 x1 fail:timeout/idle/after_commit",
        ),
        ("headers finished", "a1 commit1 done"),
        ("content cancel finished", "a1 commit1 x1"),
    ] {
        check(route("a b"), stream(), &Scene::of(2), story, expected);
    }
}

#[test]
fn the_first_token_clock_counts_content_only_and_lets_the_last_target_wait() {
    for (story, expected, effects) in [
        (
            "headers alive wait:30000 content finished",
            "a1 x1 b2f commit2 done",
            "Failure1 timeout/first_token1 Success2 success2",
        ),
        // The second is the last: it is told to its breaker once, and may still answer.
        (
            "headers wait:30000 headers wait:60000 content finished",
            "a1 x1 b2f commit2 done",
            "Failure1 timeout/first_token1 Failure2 success/first_token2",
        ),
        (
            "headers wait:30000 headers wait:60000 fail:network wait:500",
            "a1 x1 b2f b3r",
            "Failure1 timeout/first_token1 Failure2 network/first_token2 spent",
        ),
    ] {
        let told = tell(route("a b"), stream(), &Scene::of(2), story);
        assert_eq!(told.actions.join(" "), expected, "{story}");
        assert_eq!(told.effects.join(" "), effects, "{story}");
    }
}

#[test]
fn a_reasoning_model_may_think_for_three_minutes_and_is_not_idle_meanwhile() {
    let mut scene = Scene::of(2);
    scene.facts[0].reasoning = true;
    check(
        route("a b"),
        stream(),
        &scene,
        "headers wait:179999 content finished",
        "a1 commit1 done",
    );
    check(route("a b"), stream(), &scene, "headers wait:180000", "a1 x1 b2f");
}

#[test]
fn silence_in_a_stream_is_bytes_for_thirty_seconds_or_content_for_two_minutes() {
    let pings = "wait:29000 alive ".repeat(4);
    for (story, expected) in [
        (format!("content {pings}"), "a1 commit1".to_owned()),
        (
            format!("content {pings} wait:4000"),
            "a1 commit1 x1 fail:timeout/idle/after_commit".to_owned(),
        ),
        // A client that does not read stops both clocks; they start anew when it reads.
        (
            "content paused wait:300000 resumed wait:29999 content finished".into(),
            "a1 commit1 done".into(),
        ),
        (
            "content paused wait:300000 resumed wait:30000".into(),
            "a1 commit1 x1 fail:timeout/idle/after_commit".into(),
        ),
    ] {
        check(route("a b"), stream(), &Scene::of(2), &story, &expected);
    }
}

#[test]
fn the_tiers_total_bounds_all_its_attempts_and_the_deadline_the_call() {
    let policy = || {
        let mut policy = route("ab c");
        policy.tiers[0].timeouts.total = Some(Duration::from_secs(8));
        policy.tiers[0].targets[0].weight = 1_000_000;
        policy.deadline = Duration::from_secs(20);
        policy
    };
    for (story, expected, effects) in [
        (
            "connected wait:8000 connected finished",
            "a1 x1 c2f commit2 done",
            "Failure1 timeout/total1 Success2 success2",
        ),
        // The second began when the first had used the tier's time up: it is not to blame.
        (
            "connected wait:7000 fail:timeout connected wait:1000",
            "a1 b2f x2 c3f",
            "Failure1 timeout1 Neutral2 timeout/total2",
        ),
        (
            "connected wait:8000 connected wait:12000",
            "a1 x1 c2f x2 fail:timeout/deadline",
            "Failure1 timeout/total1 Neutral2 timeout/deadline2",
        ),
        // No wait that would outlast the tier's total.
        ("connected wait:7999 fail:overloaded", "a1 b2f", "Failure1 overloaded1"),
    ] {
        let told = tell(policy(), CallFacts::default(), &Scene::of(3), story);
        assert_eq!(told.actions.join(" "), expected, "{story}");
        assert_eq!(told.effects.join(" "), effects, "{story}");
    }
    // After the commit neither bounds a stream; stream_max does.
    check(
        RoutePolicy {
            stream_max: Duration::from_secs(50),
            ..policy()
        },
        stream(),
        &Scene::of(3),
        "content wait:25000 content wait:24999 finished",
        "a1 commit1 done",
    );
    check(
        RoutePolicy {
            stream_max: Duration::from_secs(40),
            ..policy()
        },
        stream(),
        &Scene::of(3),
        "content wait:25000 content wait:15000",
        "a1 commit1 x1 fail:timeout/total/after_commit",
    );
}

#[test]
fn the_clients_hints_lower_the_deadline_and_never_raise_it() {
    for (deadline, commit_within, cut_at) in [
        (None, None, 600),
        (Some(45), None, 45),
        (Some(900), Some(60), 60),
        (Some(9), Some(60), 9),
    ] {
        let facts = CallFacts {
            deadline: deadline.map(Duration::from_secs),
            commit_within: commit_within.map(Duration::from_secs),
            ..CallFacts::default()
        };
        let told = tell(route("a"), facts, &Scene::of(1), "connected");
        let (at, reason) = told.call.poll_timeout().unwrap();
        assert_eq!(reason, TimeoutReason::Deadline);
        assert_eq!(at.since(START.mono).as_secs(), cut_at);
    }
}

#[test]
fn a_late_shell_does_not_commit_past_the_deadline() {
    let scene = Scene::of(1);
    let mut told = tell(route("a"), stream(), &scene, "headers");
    told.now = START.after(Duration::from_secs(601));
    told.hear("content", &scene);
    told.drain();
    assert_eq!(told.actions.join(" "), "a1 x1 fail:timeout/deadline");
}

#[test]
fn retries_in_the_configuration_replace_ones_and_set_classes() {
    let policy = |default, by_class: &[(OutcomeClass, u32)]| {
        let mut policy = route("a b");
        policy.tiers[0].retries.default = default;
        policy.tiers[0].retries.by_class = by_class.to_vec();
        policy
    };
    for (default, by_class, story, expected) in [
        (
            Some(2),
            &[][..],
            "fail:overloaded wait:500 fail:overloaded wait:1000 fail:overloaded",
            "a1 a2r a3r b4f",
        ),
        (Some(0), &[], "fail:overloaded", "a1 b2f"),
        (Some(3), &[], "fail:auth", "a1 b2f"),
        (Some(3), &[], "fail:timeout", "a1 b2f"),
        (None, &[(OutcomeClass::Timeout, 1)], "fail:timeout wait:500", "a1 a2r"),
        (Some(3), &[(OutcomeClass::Overloaded, 0)], "fail:overloaded", "a1 b2f"),
        (
            None,
            &[(OutcomeClass::Auth, 5), (OutcomeClass::InvalidRequest, 5)],
            "fail:auth fail:invalid_request",
            "a1 b2f fail:invalid_request",
        ),
    ] {
        check(
            policy(default, by_class),
            CallFacts::default(),
            &Scene::of(2),
            story,
            expected,
        );
    }
}

#[test]
fn without_budget_there_is_no_retry_and_the_caps_hold() {
    let scene = Scene::of(8);
    scene.retries.set(false);
    check(route("a b"), CallFacts::default(), &scene, "fail:overloaded", "a1 b2f");
    let fails = "fail:timeout ".repeat(9);
    check(
        route("abcdefgh"),
        CallFacts {
            deadline: Some(Duration::from_secs(60)),
            ..CallFacts::default()
        },
        &scene,
        &fails,
        &{
            let told = tell(route("abcdefgh"), CallFacts::default(), &scene, &fails);
            assert_eq!(told.call.attempts().len(), 6);
            told.actions.join(" ")
        },
    );
    check(
        route("a b c d"),
        CallFacts::default(),
        &scene,
        &fails,
        "a1 b2f c3f fail:timeout",
    );
}

#[test]
fn a_dead_pooled_connection_is_free_once_a_target() {
    for (story, expected, effects) in [
        (
            "died finished",
            "a1 a2* commit2 done",
            "Neutral1 network1 Success2 success2",
        ),
        (
            "died died wait:500 fail:network finished",
            "a1 a2* a3r b4f commit4 done",
            "Neutral1 network1 Failure2 network2 spent Failure3 network3 Success4 success4",
        ),
        (
            "content died",
            "a1 commit1 fail:stream_broken/after_commit",
            "Failure1 stream_broken1",
        ),
    ] {
        let told = tell(route("a b"), stream(), &Scene::of(2), story);
        assert_eq!(told.actions.join(" "), expected, "{story}");
        assert_eq!(told.effects.join(" "), effects, "{story}");
    }
}

#[test]
fn a_fresh_connection_that_was_refused_makes_no_attempt_free() {
    let capped = |tiers| RoutePolicy {
        attempts_max: 2,
        ..route(tiers)
    };
    for (story, expected) in [
        ("died finished", "a1 a2* commit2 done"),
        ("died fail:overloaded wait:500 finished", "a1 a2* a3r commit3 done"),
        ("died refused fail:quota_exhausted", "a1 a2* b3f fail:quota_exhausted@1"),
        ("died refused died refused finished", "a1 a2* b3f b4f* fail:network@1"),
    ] {
        check(capped("a b c"), CallFacts::default(), &Scene::of(3), story, expected);
    }
}

#[test]
fn a_credentials_probe_gives_its_place_back_however_it_ends_and_before_the_credential_is_told_to_rest() {
    let scene = Scene::of(2);
    scene.status.borrow_mut()[0].probation = true;
    for (story, expected) in [
        ("finished", "Success1 success1 recovered:a"),
        ("fail:invalid_request", "Neutral1 released:0 invalid_request1"),
        ("fail:content_filtered", "Neutral1 released:0 content_filtered1"),
        ("cancel", "Neutral1 released:0 cancelled1"),
        ("unsupported", "Neutral1 released:0 unsupported1"),
        ("fail:overloaded", "Failure1 released:0 overloaded1 spent"),
        ("died", "Neutral1 released:0 network1"),
        ("fail:auth", "Neutral1 released:0 auth1 rest:a:Credential:auth alert"),
    ] {
        let told = tell(route("a b"), CallFacts::default(), &scene, story);
        assert_eq!(told.effects.join(" "), expected, "{story}");
    }
}

#[test]
fn a_place_just_given_back_bars_no_other_target_of_the_provider() {
    let mut scene = Scene::of(3);
    for target in &mut scene.facts {
        target.provider = crate::target::ProviderIx(0);
    }
    let usable = TargetStatus {
        probation: true,
        ..ready()
    };
    for (story, expected) in [
        ("fail:model_not_found finished", "a1 b2f commit2 done"),
        // The shell knows better: it costs nothing, and is asked once.
        ("fail:model_not_found refused", "a1 b2f fail:model_not_found"),
    ] {
        *scene.status.borrow_mut() = vec![usable; 3];
        let mut told = tell(route("a b c"), CallFacts::default(), &scene, "");
        // The only credential is this call's own to prove: to the eye it is out, for the other targets too.
        for status in scene.status.borrow_mut().iter_mut() {
            status.admission = resting(60, RestReason::Auth);
        }
        for word in story.split_whitespace() {
            told.hear(word, &scene);
            told.drain();
        }
        assert_eq!(told.actions.join(" "), expected, "{story}");
    }
}

#[test]
fn a_probe_that_ends_before_it_was_connected_gives_its_providers_place_back() {
    let scene = Scene::of(2).with(0, Admission::Probe);
    for (story, expected) in [
        ("cancel", "Neutral1 released:a cancelled1"),
        ("unsupported", "Neutral1 released:a unsupported1"),
        ("connected cancel", "Neutral1 cancelled1"),
        ("wait:5000", "Failure1 released:a timeout/connect1 unreachable:a spent"),
    ] {
        let told = tell(route("a b"), CallFacts::default(), &scene, story);
        assert_eq!(told.effects.join(" "), expected, "{story}");
    }
}

#[test]
fn open_resting_and_disabled_targets_are_left_out_and_the_least_bad_is_tried_once() {
    use RestReason::{QuotaExhausted, RateLimited};
    let disabled = Admission::Disabled { why: "no key" };
    for (states, story, expected) in [
        (
            [open(9), Admission::Ready, Admission::Ready],
            "finished",
            "b1 commit1 done",
        ),
        (
            [resting(9, RateLimited), open(5), Admission::Probe],
            "finished",
            "c1 commit1 done",
        ),
        (
            [resting(9, RateLimited), open(5), disabled],
            "fail:overloaded",
            "b1! fail:overloaded@5",
        ),
        (
            [resting(4, QuotaExhausted), open(5), disabled],
            "fail:quota_exhausted",
            "a1! fail:quota_exhausted@5",
        ),
        ([disabled, disabled, disabled], "", "fail:overloaded"),
        (
            [Admission::Probe, disabled, disabled],
            "refused fail:timeout",
            "a1 a2 fail:timeout",
        ),
    ] {
        let scene = Scene::of(3);
        for (i, state) in states.into_iter().enumerate() {
            scene.status.borrow_mut()[i].admission = state;
        }
        check(route("a b c"), CallFacts::default(), &scene, story, expected);
    }
}

#[test]
fn a_target_that_gives_less_than_was_asked_for_takes_over_when_the_others_have_failed() {
    let mut scene = Scene::of(3);
    scene.facts[0].max_output = Some(100);
    scene.facts[2].max_output = Some(200);
    let facts = || CallFacts {
        max_output_tokens: Some(300),
        ..CallFacts::default()
    };
    let spent = "fail:quota_exhausted";
    check(route("a b c"), facts(), &scene, "finished", "b1 commit1 done");
    check(
        route("a b c"),
        facts(),
        &scene,
        &format!("{spent} {spent} finished"),
        "b1 c2f a3f commit3 done",
    );
    scene.status.borrow_mut()[2].admission = open(9);
    check(
        route("a b c"),
        facts(),
        &scene,
        &format!("{spent} finished"),
        "b1 a2f commit2 done",
    );
}

#[test]
fn a_probe_lost_to_another_call_costs_nothing_and_the_next_is_first() {
    let scene = Scene::of(2).with(0, Admission::Probe);
    let told = tell(route("a b"), CallFacts::default(), &scene, "refused finished");
    assert_eq!(told.actions.join(" "), "a1 b2 commit2 done");
    assert_eq!(told.call.attempts().len(), 1);
    assert_eq!(told.call.fallback_reason(), None);
    assert_eq!(told.call.fallback_word(), Some("breaker_open"));
}

#[test]
fn a_retry_is_given_up_when_the_breaker_opened_during_the_wait() {
    let scene = Scene::of(2);
    let mut told = tell(route("a b"), CallFacts::default(), &scene, "fail:overloaded");
    scene.status.borrow_mut()[0].admission = open(30);
    told.hear("wait:500", &scene);
    assert_eq!(told.actions.join(" "), "a1 b2f");
}

#[test]
fn a_rate_limited_sole_target_is_tried_again_after_two_seconds_though_it_rests() {
    let scene = Scene::of(1);
    let mut told = tell(route("a"), CallFacts::default(), &scene, "fail:rate_limited");
    scene.status.borrow_mut()[0].admission = resting(5, RestReason::RateLimited);
    told.hear("wait:2000", &scene);
    told.hear("fail:rate_limited", &scene);
    told.drain();
    assert_eq!(told.actions.join(" "), "a1 a2r! fail:rate_limited");
}

#[test]
fn a_probes_stream_is_proven_by_five_seconds_of_content_and_others_only_by_their_end() {
    let story = "content wait:4000 content wait:2000 content wait:1 fail:network";
    for (admission, effects) in [
        (Admission::Probe, "Success1 stream_broken1"),
        (Admission::Ready, "Failure1 stream_broken1"),
    ] {
        let scene = Scene::of(1).with(0, admission);
        let told = tell(route("a"), stream(), &scene, story);
        assert_eq!(told.effects.join(" "), effects);
    }
}

#[test]
fn a_longer_prompt_goes_only_to_a_larger_window() {
    let mut scene = Scene::of(4);
    for (i, window) in [Some(8_000), Some(8_000), None, Some(32_000)].into_iter().enumerate() {
        scene.facts[i].context_window = window;
    }
    let policy = || RoutePolicy {
        tiers_max: 9,
        ..route("a b c d")
    };
    check(
        policy(),
        CallFacts::default(),
        &scene,
        "fail:context_too_long finished",
        "a1 d2f commit2 done",
    );
    check(
        policy(),
        CallFacts::default(),
        &scene,
        "fail:auth fail:context_too_long fail:context_too_long",
        "a1 b2f d3f fail:auth",
    );
}

#[test]
fn capabilities_bar_a_target_and_an_estimate_alone_does_not_refuse_a_call() {
    let mut scene = Scene::of(3);
    scene.facts[0].features = Features::NONE;
    scene.facts[1].context_window = Some(1000);
    scene.facts[2].context_window = Some(2000);
    let facts = |features, prompt_tokens_estimate, named_target| CallFacts {
        features,
        prompt_tokens_estimate,
        named_target,
        ..CallFacts::default()
    };
    for (facts, tiers, expected) in [
        (facts(Features::TOOLS, 10, false), "a b c", "b1"),
        (facts(Features::TOOLS, 1500, false), "a b c", "c1"),
        (facts(Features::TOOLS, 9000, false), "a b c", "c1"),
        (facts(Features::TOOLS, 10, false), "a", "fail:unsupported"),
        (facts(Features::TOOLS, 10, true), "a", "a1"),
    ] {
        check(route(tiers), facts, &scene, "", expected);
    }
}

#[test]
fn targets_without_headroom_and_troubled_domains_come_later() {
    let mut scene = Scene::of(3);
    scene.status.borrow_mut()[0].no_headroom = true;
    scene.troubled = vec![DomainIx(1)];
    let fails = "fail:timeout fail:timeout fail:timeout";
    check(
        route("ac b"),
        CallFacts::default(),
        &scene,
        fails,
        "c1 a2f b3f fail:timeout",
    );
    check(route("b c"), CallFacts::default(), &scene, "fail:timeout", "c1 b2f");
}

#[test]
fn a_content_rejection_goes_on_only_when_the_route_says_so_and_malformed_output_may_be_text() {
    let policy = RoutePolicy {
        on_content_filter: OnContentFilter::Fallback,
        ..route("a b")
    };
    check(
        policy,
        CallFacts::default(),
        &Scene::of(2),
        "fail:content_filtered fail:content_filtered",
        "a1 b2f fail:content_filtered",
    );
    let policy = RoutePolicy {
        malformed_output: OnMalformed::Text,
        ..route("a")
    };
    check(
        policy,
        CallFacts::default(),
        &Scene::of(1),
        "fail:malformed_output wait:500 fail:malformed_output",
        "a1 a2r fail:malformed_output=text2",
    );
}

#[test]
fn what_is_held_back_may_be_replaced_whole() {
    let policy = || RoutePolicy {
        on_stream_failure: OnStreamFailure::HoldBack { bytes: 100 },
        deadline: Duration::from_secs(60),
        ..route("a b")
    };
    for (story, expected) in [
        (
            "content:40 content:99 fail:stream_broken wait:500 content:100 finished",
            "a1 a2r commit2 done",
        ),
        ("content:40 finished", "a1 commit1 done"),
        ("content:100 fail:network", "a1 commit1 fail:stream_broken/after_commit"),
        ("content:40 wait:30000", "a1 x1 b2f"),
        // What is held is better than an error.
        (
            "content:40 wait:29000 content:50 wait:29000 content:60 wait:2000 content:61 finished",
            "a1 commit1 done",
        ),
    ] {
        check(policy(), stream(), &Scene::of(2), story, expected);
    }
}

#[test]
fn a_broken_stream_is_continued_by_others_unless_something_bars_it() {
    let mut scene = Scene::of(3);
    scene.facts[1].prefill = true;
    let policy = || RoutePolicy {
        on_stream_failure: OnStreamFailure::Resume,
        ..route("a b c")
    };
    for (story, expected) in [
        (
            "content fail:network content finished",
            "a1 commit1 b2+prefill commit2 done",
        ),
        (
            "content fail:network fail:overloaded content finished",
            "a1 commit1 b2+prefill c3+instruct commit3 done",
        ),
        (
            "content fail:network fail:invalid_request content finished",
            "a1 commit1 b2+prefill b3+instruct commit3 done",
        ),
        (
            "content fail:network fail:invalid_request fail:invalid_request fail:auth",
            "a1 commit1 b2+prefill b3+instruct c4+instruct fail:stream_broken/after_commit",
        ),
        (
            "content fail:network content fail:network content finished",
            "a1 commit1 b2+prefill commit2 c3+instruct commit3 done",
        ),
        (
            "content tool fail:network",
            "a1 commit1 fail:stream_broken/after_commit",
        ),
        (
            "content fail:content_filtered",
            "a1 commit1 fail:content_filtered/after_commit",
        ),
        (
            "content wait:30000 connected wait:30000",
            "a1 commit1 x1 b2+prefill x2 c3+instruct",
        ),
        (
            "fail:timeout content fail:network content finished",
            "a1 b2f commit2 c3+instruct commit3 done",
        ),
        (
            "content fail:network died content finished",
            "a1 commit1 b2+prefill b3+prefill* commit3 done",
        ),
        ("content fail:network cancel", "a1 commit1 b2+prefill x2"),
    ] {
        check(policy(), stream(), &scene, story, expected);
    }
    check(policy(), CallFacts::default(), &scene, "finished", "a1 commit1 done");
}

#[test]
fn a_refused_credential_is_followed_by_the_targets_next_one() {
    let mut scene = Scene::of(2);
    scene.facts[0].credentials = 2;
    for (story, expected) in [
        ("fail:auth finished", "a1 a2f' commit2 done"),
        ("fail:quota_exhausted fail:quota_exhausted", "a1 a2f' b3f"),
        ("fail:rate_limited", "a1 b2f"),
    ] {
        check(route("a b"), CallFacts::default(), &scene, story, expected);
    }
    let told = tell(route("a b"), CallFacts::default(), &scene, "fail:auth finished");
    assert_eq!(told.effects.last().unwrap(), "recovered:a");
    let limited = Failure::new(OutcomeClass::RateLimited, "").with_scope(Scope::Credential);
    assert!(crate::outcome::is_of_credential(&limited));
}

#[test]
fn late_news_of_an_attempt_that_is_gone_changes_nothing() {
    let scene = Scene::of(2);
    let mut told = tell(route("a b"), stream(), &scene, "fail:timeout");
    for event in [
        AttemptEvent::Content {
            attempt: AttemptNo(1),
            bytes: 9,
        },
        AttemptEvent::Finished { attempt: AttemptNo(1) },
        AttemptEvent::Finished { attempt: AttemptNo(77) },
    ] {
        told.call.handle_event(event, &scene, told.now);
        told.drain();
    }
    assert_eq!(told.actions.join(" "), "a1 b2f");
    told.hear("finished", &scene);
    told.hear("fail:network", &scene);
    told.hear("cancel", &scene);
    told.drain();
    assert_eq!(told.actions.join(" "), "a1 b2f commit2 done");
    assert_eq!(told.call.poll_timeout(), None);
}

#[test]
fn what_nobody_can_do_is_asked_in_words_when_the_route_says_so_and_shown_only_when_whole() {
    let mut scene = Scene::of(3);
    scene.facts[0].features = Features::NONE;
    scene.facts[1].features = Features::TOOLS.with(Features::JSON_SCHEMA);
    scene.facts[2].features = Features::JSON_SCHEMA;
    let call = |features| CallFacts { features, ..stream() };
    let degrade = || RoutePolicy {
        on_unsupported: OnUnsupported::Degrade,
        ..route("a b c")
    };
    let both = Features::TOOLS.with(Features::JSON_SCHEMA);
    // Who can comes first, whatever its tier; then the others in their order.
    check(degrade(), call(both), &scene, "fail:auth fail:auth", "b1 a2f c3f");
    // Content commits nothing, and no clock shows what is not checked yet.
    check(
        degrade(),
        call(both),
        &scene,
        "fail:auth headers content content wait:20000 content finished",
        "b1 a2f commit2 done",
    );
    let told = tell(degrade(), call(both), &scene, "fail:auth");
    assert_eq!(told.call.live.as_ref().map(|l| l.degraded), Some(both));
    // What cannot be said in words still bars a target.
    check(
        degrade(),
        call(Features::TOOLS.with(Features::VISION)),
        &scene,
        "",
        "fail:unsupported",
    );
    // A broken answer is asked for once more, in words again.
    let told = tell(
        degrade(),
        call(both),
        &scene,
        "fail:auth fail:malformed_output wait:2000",
    );
    assert_eq!(told.actions.join(" "), "b1 a2f a3r");
    assert_eq!(told.call.live.as_ref().map(|l| l.degraded), Some(both));
}
