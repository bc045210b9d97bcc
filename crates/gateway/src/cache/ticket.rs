//! What a call of a caching route carries: its key, and what has been said so far.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policy::cacheability::{Age, Answered, CachePolicy, NotKept, Question};
use policy::embedding::vector::Vector;
use policy::semantic::fingerprint::Fingerprint;
use policy::spend::Share;
use tokio::time::timeout;
use types::answer::FinishReason;
use types::dialect::{IngressDialect, Operation};
use types::event::StreamEvent;
use types::ids::ModelTier;
use types::outcome::OutcomeClass;
use types::principal::Principal;
use types::spend::SpendLevel;
use wire::response::RawAnswer;
use wire::whole::Collector;
use wire::{dialect, embeddings};

use crate::cache::flight::{Joined, Landing, Lead, landed};
use crate::cache::key::{Key, Realm};
use crate::cache::semantic::{self, Asked, Near, QUESTION_BYTES_MAX};
use crate::cache::stored::{self, Said, Stored, Vectors};
use crate::cache::{Caches, Found, Status, Wish, aside, embed};
use crate::config::cache::{OnAllFailed, RouteSemantic};
use crate::engine::body::{Ask, RequestBody};
use crate::engine::run::Engine;
use crate::fleet::route::Route;
use crate::fleet::snapshot::{self, Snapshot};
use crate::spend::spending::Spending;
use crate::upstream::answer::Neutral;

/// An answer longer than this is not kept.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// A call that waited for so many others, all of which came to nothing, asks for itself.
const FLIGHTS_MAX: u32 = 3;

/// A call's way into the cache and out of it.
pub struct Ticket {
    caches: Arc<Caches>,
    route: Arc<Route>,
    policy: CachePolicy,
    /// Kept answers are given.
    serves: bool,
    semantic: Option<Semantic>,
    realm: Realm,
    wish: Wish,
    dialect: IngressDialect,
    operation: Operation,
    /// The least share that is left of the budgets that count the call.
    remaining: Share,
    key: Option<Key>,
    temperature: Option<f64>,
    lead: Option<Lead>,
    gathered: Gathered,
}

/// What a call knows of itself when it looks for an answer.
pub struct Asking<'a> {
    /// What it asks.
    pub body: &'a RequestBody,
    /// What its budgets ask of the choice.
    pub level: SpendLevel,
    /// How long it waits for an equal call.
    pub patience: Duration,
    /// Its money.
    pub spending: &'a Spending,
}

/// What comes of looking for an answer.
pub enum Recalled {
    /// There is one.
    Found(Box<Found>),
    /// There is none, and the call's own is to be kept when there is a ticket.
    Missed(Option<Box<Ticket>>),
    /// The gateway stops.
    Stopped,
}

/// A call's way to answers to the same question in other words.
struct Semantic {
    policy: RouteSemantic,
    /// Who makes the embedding; `None`: this process.
    by: Option<Arc<Route>>,
    /// What the question stands in, and itself as it is compared; once it is known.
    asked: Option<(Arc<str>, Arc<Vector>, Arc<Fingerprint>)>,
    /// How alike the question is whose answer would have been given.
    shadow: Option<f32>,
}

/// What has been said so far.
enum Gathered {
    Nothing,
    Stream(Box<Collector>),
    Whole { body: Bytes, neutral: Option<Neutral> },
    TooLong,
}

/// How a call ended well.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// A part of the answer is another target's.
    pub resumed: bool,
    /// Something was asked for in words.
    pub degraded: bool,
    /// A filter or a refusal for safety is in it.
    pub filtered: bool,
    /// The gateway guessed it.
    pub estimated: bool,
    /// The target that answered.
    pub target: String,
    /// Its tier, from 1.
    pub tier: u32,
    /// Its model tier.
    pub model_tier: Option<ModelTier>,
    /// What was left out, as the client was told.
    pub dropped: Option<String>,
}

impl Ticket {
    /// A ticket for a call, where its route caches and it asks for what can be kept.
    pub fn new(
        caches: &Arc<Caches>,
        snapshot: &Snapshot,
        route: &Arc<Route>,
        principal: &Principal,
        body: (&Ask, IngressDialect),
        wish: Wish,
    ) -> Option<Box<Ticket>> {
        let (ask, dialect) = body;
        let operation = match ask {
            Ask::Generate => Operation::Generate,
            Ask::Embed => Operation::Embed,
            Ask::CountTokens | Ask::Opaque(_) => return None,
        };
        let semantic = route
            .cache
            .semantic
            .as_ref()
            .filter(|_| operation == Operation::Generate);
        let policy = match (&route.cache.exact, semantic) {
            (Some(exact), _) => exact.clone(),
            (None, Some(semantic)) => semantic.policy.clone(),
            (None, None) => return None,
        };
        if wish == Wish::Off {
            return None;
        }
        let serves = route.cache.exact.is_some() || semantic.is_some_and(|semantic| !semantic.shadow);
        let semantic = semantic.and_then(|policy| {
            let by = match &policy.embedding {
                None => None,
                Some(target) => match snapshot.find(target.as_str()) {
                    snapshot::Found::Route(route) => Some(route),
                    snapshot::Found::Nothing(_) => return None,
                },
            };
            Some(Semantic {
                policy: policy.clone(),
                by,
                asked: None,
                shadow: None,
            })
        });
        caches.bound(snapshot.loaded.config.cache.bytes_max());
        Some(Box::new(Ticket {
            realm: Realm::of(principal, route),
            caches: caches.clone(),
            route: route.clone(),
            policy,
            serves,
            semantic,
            wish,
            dialect,
            operation,
            remaining: Share::ONE,
            key: None,
            temperature: None,
            lead: None,
            gathered: Gathered::Nothing,
        }))
    }

    /// Looks for an answer: a kept one, else that of an equal call under way.
    pub async fn recall(mut self: Box<Self>, engine: &Arc<Engine>, asking: Asking<'_>) -> Recalled {
        let begun = engine.clock.now();
        let Asking {
            body,
            level,
            patience,
            spending,
        } = asking;
        self.remaining = spending.remaining();
        let route = self.route.policy.name.as_str().to_owned();
        let Some(key) = self.read(body).await else {
            self.caches.metrics.looked_up(&route, "none");
            return Recalled::Missed(None);
        };
        if self.wish == Wish::Refresh {
            return Recalled::Missed(Some(self));
        }
        if !self.serves {
            let _ = self.alike(engine, body, spending, level).await;
            return Recalled::Missed(Some(self));
        }
        if let Some(found) = self.fresh(&key, level).await {
            self.caches.metrics.looked_up(&route, "hit");
            return Recalled::Found(Box::new(found));
        }
        for _ in 0..FLIGHTS_MAX {
            let landing = match self.caches.flights.join(&key) {
                Joined::Lead(lead) => {
                    // Between the look and the lead another may have landed.
                    if let Some(found) = self.fresh(&key, level).await {
                        self.lead = Some(lead);
                        self.land(&found);
                        self.caches.metrics.looked_up(&route, "hit");
                        return Recalled::Found(Box::new(found));
                    }
                    self.lead = Some(lead);
                    if let Some(found) = self.alike(engine, body, spending, level).await {
                        self.land(&found);
                        self.caches.metrics.looked_up(&route, "semantic");
                        return Recalled::Found(Box::new(found));
                    }
                    break;
                }
                Joined::Follow(landing) => landing,
            };
            let waiting = Waiting::begin(&self.caches);
            let waited = engine.clock.now().mono.since(begun.mono);
            let stop = engine.stop.clone().notified_owned();
            let landing = tokio::select! {
                biased;
                landing = timeout(patience.saturating_sub(waited), landed(landing)) => landing,
                () = stop => return Recalled::Stopped,
            };
            drop(waiting);
            match landing {
                Ok(Landing::Answered { stored, status, age }) => {
                    self.caches.metrics.looked_up(&route, "waited");
                    let bytes = 0;
                    return Recalled::Found(Box::new(Found {
                        stored,
                        status,
                        age,
                        bytes,
                        similarity: None,
                    }));
                }
                Ok(Landing::Lost | Landing::Flying) => {}
                Ok(Landing::Unshared) | Err(_) => break,
            }
        }
        self.caches.metrics.looked_up(&route, "miss");
        Recalled::Missed(Some(self))
    }

    /// Whether the client wants a kept answer or none.
    pub fn wants_only(&self) -> bool {
        self.wish == Wish::Only
    }

    /// A fresh answer, else a stale one.
    pub async fn find(&mut self, body: &RequestBody, level: SpendLevel) -> Option<Found> {
        let key = self.read(body).await?;
        let found = self.aged(&key, level).await;
        let result = found.as_ref().map_or("miss", |found| found.status.as_str());
        self.caches.metrics.looked_up(self.route.policy.name.as_str(), result);
        found
    }

    /// What is left when every target has failed: a kept answer, where the route wants it and the failure is not the caller's.
    pub async fn last_resort(&mut self, class: OutcomeClass, level: SpendLevel) -> Option<Found> {
        if self.route.cache.on_all_failed != OnAllFailed::Cached || !may_be_answered(class) {
            return None;
        }
        let key = self.key.clone()?;
        let found = self.aged(&key, level).await?;
        let found = Found {
            status: Status::Stale,
            ..found
        };
        self.caches.metrics.looked_up(self.route.policy.name.as_str(), "stale");
        self.land(&found);
        Some(found)
    }

    /// Gives those who wait what was found.
    fn land(&mut self, found: &Found) {
        if let Some(lead) = self.lead.take() {
            let (stored, status, age) = (found.stored.clone(), found.status, found.age);
            lead.land(Landing::Answered { stored, status, age });
        }
    }

    /// How alike the question is whose answer would have been given, where none is given.
    pub fn shadow(&self) -> Option<f32> {
        self.semantic.as_ref()?.shadow
    }

    /// An answer to the same question in other words.
    async fn alike(
        &mut self,
        engine: &Arc<Engine>,
        body: &RequestBody,
        spending: &Spending,
        level: SpendLevel,
    ) -> Option<Found> {
        let semantic = self.semantic.as_mut()?;
        let (hex, question) = self.realm.question(body)?;
        if question.len() > QUESTION_BYTES_MAX {
            return None;
        }
        let (metrics, route) = (&self.caches.metrics, self.route.policy.name.as_str());
        let maker = semantic
            .policy
            .embedding
            .as_ref()
            .map_or("static", |target| target.as_str());
        let kind: Arc<str> = format!("{maker} {hex}").into();
        let made = match &semantic.by {
            None => None,
            Some(by) => {
                let within = semantic.policy.timeout;
                let made = embed::ask(engine, by, spending, question, within).await;
                if made.is_none() {
                    metrics.compared(route, "failed");
                    return None;
                }
                made
            }
        };
        let threshold = semantic.policy.policy.threshold_at(semantic.policy.threshold, level);
        let (questions, name, question) = (self.caches.questions.clone(), kind.clone(), question.to_owned());
        let compared = aside(usize::MAX, move || {
            let vector = Arc::new(made.or_else(|| semantic::embed(&question))?);
            let fingerprint = Arc::new(Fingerprint::of(&question));
            let near = questions.near(&name, &vector, &fingerprint, threshold);
            Some((vector, fingerprint, near))
        });
        let Some((vector, fingerprint, near)) = compared.await.flatten() else {
            metrics.compared(route, "failed");
            return None;
        };
        semantic.asked = Some((kind.clone(), vector, fingerprint));
        let (key, similarity) = match near {
            Near::Answer { key, similarity } => (key, similarity),
            Near::Other(differs) => {
                metrics.compared(route, differs);
                return None;
            }
            Near::Nothing => {
                metrics.compared(route, "nothing");
                return None;
            }
        };
        let kept = self.caches.get(&key).await;
        let fresh = kept.filter(|(_, age, _)| semantic.policy.policy.age(*age, level) == Age::Fresh);
        let Some((stored, age, bytes)) = fresh else {
            self.caches.questions.forget(&kind, &key);
            metrics.compared(route, "nothing");
            return None;
        };
        if semantic.policy.shadow {
            semantic.shadow = Some(similarity);
            metrics.compared(route, "shadow_hit");
            return None;
        }
        metrics.compared(route, "hit");
        Some(Found {
            stored,
            status: Status::Hit,
            age,
            bytes,
            similarity: Some(similarity),
        })
    }

    /// An attempt begins: what another said is forgotten.
    pub fn begin_attempt(&mut self) {
        self.gathered = Gathered::Nothing;
    }

    /// Takes in what a stream says.
    pub fn hear(&mut self, said: &[StreamEvent]) {
        for event in said {
            if let Gathered::Nothing = self.gathered {
                self.gathered = Gathered::Stream(Box::default());
            }
            let Gathered::Stream(collector) = &mut self.gathered else {
                return;
            };
            collector.take(event);
            if collector.bytes() > ANSWER_BYTES_MAX {
                self.gathered = Gathered::TooLong;
            }
        }
    }

    /// Takes in a whole answer, in the client's dialect, and in the neutral model where it was translated.
    pub fn hear_whole(&mut self, body: &Bytes, neutral: Option<Neutral>) {
        self.gathered = match body.len() {
            0..=ANSWER_BYTES_MAX => Gathered::Whole {
                body: body.clone(),
                neutral,
            },
            _ => Gathered::TooLong,
        };
    }

    /// The call has ended well: keeps what was said, where it may be kept, and tells those who wait.
    pub async fn keep(mut self: Box<Self>, ended: Ended) {
        let lead = self.lead.take();
        let kept = self.try_keep(ended).await;
        let route = self.route.policy.name.as_str();
        let landing = match kept {
            Ok((stored, bytes)) => {
                self.caches.metrics.kept(route, bytes);
                Landing::Answered {
                    stored,
                    status: Status::Hit,
                    age: Duration::ZERO,
                }
            }
            Err(why) => {
                self.caches.metrics.not_kept(route, why);
                Landing::Unshared
            }
        };
        if let Some(lead) = lead {
            lead.land(landing);
        }
    }

    async fn try_keep(&mut self, ended: Ended) -> Result<(Arc<Stored>, usize), &'static str> {
        let key = self.key.clone().ok_or("none")?;
        if ended.degraded || ended.estimated {
            return Err("degraded");
        }
        let gathered = std::mem::replace(&mut self.gathered, Gathered::Nothing);
        let about_bytes = gathered.bytes();
        let (dialect, operation) = (self.dialect, self.operation);
        let read = aside(about_bytes, move || gathered.read(dialect, operation))
            .await
            .flatten();
        let Some(answer) = read else {
            return Err("unread");
        };
        let (finish, calls_tools) = match &answer {
            Said::Chat(chat) => {
                let (calls, refuses) = stored::calls_or_refuses(chat);
                let finish = match stored::finish(chat) {
                    Some(FinishReason::Stop | FinishReason::ToolCalls) if refuses => Some(FinishReason::ContentFilter),
                    finish => finish,
                };
                (finish, calls)
            }
            Said::Vectors(_) => (None, false),
        };
        let answered = Answered {
            complete: true,
            resumed: ended.resumed,
            finish: match ended.filtered {
                true => Some(FinishReason::ContentFilter),
                false => finish,
            },
            calls_tools,
        };
        let question = Question {
            operation: self.operation,
            temperature: self.temperature,
            unrepeatable: false,
            refused: false,
        };
        self.policy
            .keeps(&question, &answered, self.remaining)
            .map_err(not_kept_word)?;
        let stored = Arc::new(Stored {
            answer,
            target: ended.target,
            tier: ended.tier,
            model_tier: ended.model_tier,
            dropped: ended.dropped,
        });
        let alike = self.semantic.as_ref().map(|semantic| semantic.policy.policy.keep_for());
        let keep = self.policy.keep_for().max(alike.unwrap_or_default());
        let bytes = self.caches.put(&key, &stored, about_bytes, keep).await;
        if let Some(semantic) = &mut self.semantic
            && let Some((kind, vector, fingerprint)) = semantic.asked.take()
        {
            let asked = Asked {
                key,
                vector,
                fingerprint,
            };
            self.caches.questions.keep(&kind, asked, semantic.policy.candidates);
        }
        Ok((stored, bytes))
    }

    /// The call's key, read once.
    async fn read(&mut self, body: &RequestBody) -> Option<Key> {
        let bytes = body.bytes.len();
        if bytes <= super::INLINE_BYTES_MAX {
            self.key = self.realm.key(body);
        } else {
            let (twin, realm) = (body.twin()?, self.realm.clone());
            let (twin, key) = aside(bytes, move || {
                let key = realm.key(&twin);
                (twin, key)
            })
            .await?;
            body.adopt(twin);
            self.key = key;
        }
        self.temperature = match &body.ask {
            Ask::Generate => body.neutral().ok().and_then(|r| r.sampling.temperature),
            Ask::Embed | Ask::CountTokens | Ask::Opaque(_) => None,
        };
        self.key.clone()
    }

    async fn fresh(&self, key: &Key, level: SpendLevel) -> Option<Found> {
        self.aged(key, level).await.filter(|found| found.status == Status::Hit)
    }

    async fn aged(&self, key: &Key, level: SpendLevel) -> Option<Found> {
        let (stored, age, bytes) = self.caches.get(key).await?;
        let status = match self.policy.age(age, level) {
            Age::Fresh => Status::Hit,
            Age::Stale => Status::Stale,
            Age::Gone => return None,
        };
        Some(Found {
            stored,
            status,
            age,
            bytes,
            similarity: None,
        })
    }
}

impl Gathered {
    fn bytes(&self) -> usize {
        match self {
            Gathered::Nothing | Gathered::TooLong => 0,
            Gathered::Stream(collector) => collector.bytes(),
            Gathered::Whole { body, .. } => body.len(),
        }
    }

    /// The answer in the neutral model.
    fn read(self, ingress: IngressDialect, operation: Operation) -> Option<Said> {
        match self {
            Gathered::Nothing | Gathered::TooLong => None,
            Gathered::Stream(collector) => Some(Said::Chat(collector.into_answer())),
            Gathered::Whole {
                neutral: Some(neutral), ..
            } => Some(match neutral {
                Neutral::Chat(answer) => Said::Chat(*answer),
                Neutral::Vectors(answer) => Said::Vectors(Vectors::of(&answer)),
            }),
            Gathered::Whole { body, neutral: None } => {
                let headers = http::HeaderMap::new();
                let raw = RawAnswer {
                    status: 200,
                    headers: &headers,
                    body: &body,
                    received: types::time::UnixMillis(0),
                };
                match operation {
                    Operation::Generate => dialect::decode_answer(ingress.name(), raw).ok().map(Said::Chat),
                    Operation::Embed => {
                        let answer = embeddings::decode_answer(IngressDialect::OpenaiChat.name(), raw).ok()?;
                        Some(Said::Vectors(Vectors::of(&answer)))
                    }
                    Operation::CountTokens => None,
                }
            }
        }
    }
}

/// One more waits, until it is dropped.
struct Waiting<'c>(&'c Caches);

impl<'c> Waiting<'c> {
    fn begin(caches: &'c Caches) -> Waiting<'c> {
        caches.metrics.waiting.inc();
        Waiting(caches)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.metrics.waiting.dec();
    }
}

/// Whether a failure is one that an older answer may stand in for: nobody could answer, and not because of the question.
fn may_be_answered(class: OutcomeClass) -> bool {
    match class {
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken => true,
        OutcomeClass::Success
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => false,
    }
}

fn not_kept_word(why: NotKept) -> &'static str {
    match why {
        NotKept::Question => "question",
        NotKept::Sampled => "sampled",
        NotKept::Incomplete => "incomplete",
        NotKept::Truncated => "truncated",
        NotKept::Filtered => "filtered",
        NotKept::Malformed => "malformed",
        NotKept::ToolCalls => "tool_calls",
    }
}
