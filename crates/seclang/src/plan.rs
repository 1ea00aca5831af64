//! A rule set laid out for running: what most rules do for most requests, which is nothing, is decided in a few small tables.
//!
//! A [`Rule`] is as it was written and is looked into only where something of it may match.

use crate::bytes::ByteSet;
use crate::fold::{Assignment, fold};
use crate::gates::{Gates, QuestionId};
use crate::names::{Name, Names};
use crate::prelude::Prelude;
use crate::rule::{Link, Phase, Rule, Selector, Skip, Target};
use crate::texts::{TextId, Texts};
use crate::transaction::Entry;
use crate::transform::Transformation;
use crate::variable::{Kind, Variable};

/// A chain of transformations: a node of the tree of all chains of a rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain(pub u16);

impl Chain {
    /// The value as it is.
    pub const NONE: Self = Self(0);
}

/// All that runs.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Every rule, as it was written.
    pub(crate) phases: [Vec<Step>; 5],
    /// The rules that are left when those are done whose outcome is the same for every request.
    pub(crate) folded: [Vec<Step>; 5],
    /// What those set.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) links: Vec<PlannedLink>,
    pub(crate) looks: Vec<Look>,
    pub(crate) gates: Gates,
    /// For each phase the lists that the first links of its folded rules look at.
    pub(crate) wants: [Vec<Want>; 5],
    /// For each phase a bit for each folded step that is taken whatever lists hold when the phase begins.
    pub(crate) certain: [Vec<u64>; 5],
    /// The same for each that is taken where there is a document.
    pub(crate) of_documents: [Vec<u64>; 5],
    /// For each question of a first link its folded step.
    pub(crate) steps: Vec<u32>,
    /// What phase 1 begins with where rules are folded.
    pub(crate) prelude: Prelude,
    pub(crate) chains: Vec<PlannedChain>,
    /// The texts that every request begins with: those that rules set whatever it is.
    pub(crate) texts: Texts,
}

/// A chain of transformations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedChain {
    /// What comes before the last of them.
    pub(crate) before: Chain,
    pub(crate) last: Transformation,
    /// The last of them alone.
    pub(crate) alone: Chain,
    /// Without one of these bytes a text stays as it is; nothing where that cannot be said.
    pub(crate) triggers: Option<ByteSet>,
}

impl Default for PlannedChain {
    fn default() -> Self {
        let (before, alone) = (Chain::NONE, Chain::NONE);
        Self { before, last: Transformation::None, alone, triggers: Some(ByteSet::EMPTY) }
    }
}

impl PlannedChain {
    /// A transformation behind those of a chain.
    pub(crate) fn new(before: Chain, last: Transformation, alone: Chain, of_before: &Self) -> Self {
        let triggers = of_before.triggers.zip(last.triggers()).map(|(before, last)| before.union(*last));
        Self { before, last, alone, triggers }
    }
}

/// A rule of a phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Which rule.
    pub(crate) rule: u32,
    /// Its first link in [`Plan::links`]; the others follow.
    pub(crate) link: u32,
    /// The step of this phase that comes next where the rule matches.
    pub(crate) next_if_matched: u32,
    /// What comes of it.
    pub(crate) outcome: Outcome,
}

/// What comes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// That depends on the request.
    Asked,
    /// It matches, and sets these of [`Plan::assignments`].
    Always {
        /// From here on.
        first: u32,
        /// Up to here.
        end: u32,
    },
}

/// A link of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedLink {
    /// What it looks at, in [`Plan::looks`]: from here on.
    pub(crate) first_look: u32,
    /// Up to here.
    pub(crate) end_of_looks: u32,
    /// Which question it asks.
    pub(crate) question: QuestionId,
    /// After which transformations.
    pub(crate) chain: Chain,
    /// Whether it asks at all, and is not an action alone.
    pub(crate) asks: bool,
}

/// One list of values that a link looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Which of the link's targets this is of.
    pub(crate) target: u16,
    /// Which list.
    pub(crate) list: List,
    /// What the values are called.
    pub(crate) named: Variable,
    /// Which of them.
    pub(crate) chosen: Chosen,
    /// Whether the list stays as it is while a phase runs, so that what it holds is asked about once.
    pub(crate) is_settled: bool,
    /// Its place in [`Plan::wants`], where it is of a first link and the list is settled.
    pub(crate) want: Option<u16>,
}

/// What the first links of a phase want of a list.
#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) list: List,
    /// Each question, with the name of the values that it looks at, unless those are all.
    questions: Vec<(QuestionId, Option<Name>)>,
    /// A bit for each question that looks at values of any name.
    of_all: Vec<u64>,
    /// The same for each name.
    of_names: Vec<(Name, Vec<u64>)>,
}

/// So many questions are asked about one by one for less than what rows of bits cost for all.
const FEW: usize = 10;

impl Want {
    fn new(list: List) -> Self {
        Self { list, questions: Vec::new(), of_all: Vec::new(), of_names: Vec::new() }
    }

    fn add(&mut self, question: QuestionId, name: Option<Name>, words: usize) {
        self.questions.push((question, name));
        let bits = match name {
            None => &mut self.of_all,
            Some(name) => {
                let at = self.of_names.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                    self.of_names.push((name, Vec::new()));
                    self.of_names.len() - 1
                });
                &mut self.of_names[at].1
            }
        };
        bits.resize(words, 0);
        question.set(bits);
    }

    /// Sets the bit of each question that a value of the list may match.
    pub(crate) fn open(&self, entry: Entry, texts: &mut Texts, gates: &Gates, open: &mut [u64]) {
        let value = if self.list.names_only { entry.key } else { entry.value };
        if self.questions.len() <= FEW {
            for (question, name) in &self.questions {
                if name.is_none_or(|name| name == entry.name) && texts.may_match(value, *question, gates) {
                    question.set(open);
                }
            }
            return;
        }
        let of_name = match entry.name {
            Name::OTHER => None,
            name => self.of_names.iter().find(|(known, _)| *known == name).map(|(_, wanted)| wanted),
        };
        let of_all = Some(&self.of_all).filter(|wanted| !wanted.is_empty());
        if let Some(wanted) = of_all {
            texts.expect(value, wanted, gates);
        }
        for wanted in of_all.into_iter().chain(of_name) {
            for ((open, wanted), possible) in open.iter_mut().zip(wanted).zip(texts.open(value, gates)) {
                *open |= wanted & possible;
            }
        }
    }
}

/// A list of values, or of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) of: Variable,
    pub(crate) names_only: bool,
}

/// Which values of a list are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// All.
    All,
    /// Those with a name.
    Name(Name),
    /// Those whose names a pattern matches.
    Pattern,
    /// Parts of a document.
    Path,
    /// How many there are.
    Count,
}

impl Plan {
    pub(crate) fn new(rules: &[Rule], marks: &[(Vec<u8>, usize)], names: &Names) -> Self {
        let mut plan = Self { chains: vec![PlannedChain::default()], ..Self::default() };
        for phase in Phase::ALL {
            let of_phase: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].phase == phase).collect();
            for (position, &at) in of_phase.iter().enumerate() {
                let next_if_matched = match &rules[at].skip {
                    Skip::None => position + 1,
                    Skip::Rules(count) => (position + 1 + *count as usize).min(of_phase.len()),
                    Skip::After(mark) => {
                        let after = after_mark(mark, at, rules, marks);
                        of_phase.partition_point(|other| *other < after)
                    }
                };
                let link = plan.links.len() as u32;
                for link in &rules[at].links {
                    plan.add(link);
                }
                let next_if_matched = next_if_matched as u32;
                let step = Step { rule: at as u32, link, next_if_matched, outcome: Outcome::Asked };
                plan.phases[phase.index()].push(step);
            }
        }
        fold(&mut plan, rules, names);
        plan.gate(rules);
        plan.texts = plan.first_texts(rules, names);
        for phase in Phase::ALL {
            plan.want(phase.index());
        }
        plan.prelude = Prelude::new(&plan, rules, names);
        plan
    }

    /// Numbers the questions that are asked at all.
    fn gate(&mut self, rules: &[Rule]) {
        for step in self.folded.iter().flatten().filter(|step| step.outcome == Outcome::Asked) {
            let links = &mut self.links[step.link as usize..];
            for (planned, link) in links.iter_mut().zip(&rules[step.rule as usize].links) {
                planned.question = self.gates.add(link, rules[step.rule as usize].phase);
            }
        }
        self.gates.finish();
    }

    /// What rules set whatever the request is, with what will be asked of it.
    fn first_texts(&mut self, rules: &[Rule], names: &Names) -> Texts {
        let mut texts = Texts::new(self.chains.len(), self.gates.words(), names.patterns());
        for assignment in &mut self.assignments {
            assignment.key_text = texts.add(&assignment.key);
            assignment.value_text = texts.add(&assignment.value);
        }
        let targets = rules.iter().flat_map(|rule| &rule.links).flat_map(|link| &link.targets);
        for target in targets.filter(|target| target.variable == Variable::Tx) {
            for selector in std::iter::once(&target.selector).chain(&target.exclusions) {
                if let Selector::Pattern(pattern, number, _) = selector {
                    for assignment in &self.assignments {
                        texts.is_chosen(assignment.key_text, pattern, usize::from(*number));
                    }
                }
            }
        }
        for text in [TextId::EMPTY, TextId::ZERO, TextId::ONE] {
            texts.open(text, &self.gates);
        }
        texts
    }

    /// Notes which lists the first links of a phase's rules look at, and which of its rules run whatever these hold.
    fn want(&mut self, phase: usize) {
        let words = self.gates.words();
        let mut certain = vec![0; self.folded[phase].len().div_ceil(64)];
        let mut of_documents = certain.clone();
        let mut wants: Vec<Want> = Vec::new();
        for (at, step) in self.folded[phase].iter().enumerate() {
            let link = self.links[step.link as usize];
            let looks = &mut self.looks[link.first_look as usize..link.end_of_looks as usize];
            let is_asked = step.outcome == Outcome::Asked && link.asks && link.question != QuestionId::ALWAYS;
            let bit = 1 << (at % 64);
            if looks.iter().any(|look| look.chosen == Chosen::Path) {
                of_documents[at / 64] |= bit;
            }
            if !is_asked || looks.iter().any(|look| !look.is_settled && look.chosen != Chosen::Path) {
                certain[at / 64] |= bit;
            }
            if !is_asked {
                continue;
            }
            link.question.note(&mut self.steps, at as u32);
            for look in looks.iter_mut().filter(|look| look.is_settled) {
                let want = wants.iter().position(|want| want.list == look.list).unwrap_or_else(|| {
                    wants.push(Want::new(look.list));
                    wants.len() - 1
                });
                look.want = u16::try_from(want).ok();
                let name = match look.chosen {
                    Chosen::Name(name) if look.list.of.has_names() => Some(name),
                    _ => None,
                };
                wants[want].add(link.question, name, words);
            }
        }
        (self.wants[phase], self.certain[phase], self.of_documents[phase]) = (wants, certain, of_documents);
    }

    fn add(&mut self, link: &Link) {
        let first_look = self.looks.len() as u32;
        for (at, target) in link.targets.iter().enumerate() {
            self.look(at as u16, target);
        }
        let planned = PlannedLink {
            first_look,
            end_of_looks: self.looks.len() as u32,
            question: QuestionId::ALWAYS,
            chain: self.chain(&link.transformations),
            asks: link.question.is_some(),
        };
        self.links.push(planned);
    }

    fn look(&mut self, at: u16, target: &Target) {
        let chosen = match &target.selector {
            _ if target.count => Chosen::Count,
            Selector::All => Chosen::All,
            Selector::Name(name, _) => Chosen::Name(*name),
            Selector::Pattern(..) => Chosen::Pattern,
            Selector::Path(..) => Chosen::Path,
        };
        let named = target.variable;
        let lists = match named.kind() {
            // A count is of all of them together.
            _ if target.count => vec![named],
            Kind::Both(first, second) => vec![first, second],
            _ => vec![named],
        };
        for of in lists {
            let list = match of.kind() {
                Kind::Names(base) => List { of: base, names_only: true },
                _ => List { of, names_only: false },
            };
            let is_settled =
                matches!(chosen, Chosen::All | Chosen::Name(_) | Chosen::Pattern) && !list.of.changes_within_a_phase();
            self.looks.push(Look { target: at, list, named, chosen, is_settled, want: None });
        }
    }

    fn chain(&mut self, transformations: &[Transformation]) -> Chain {
        transformations.iter().fold(Chain::NONE, |before, transformation| self.longer(before, *transformation))
    }

    /// A chain with one more transformation.
    fn longer(&mut self, before: Chain, last: Transformation) -> Chain {
        let is_it = |one: &PlannedChain| one.before == before && one.last == last;
        if let Some(found) = self.chains.iter().skip(1).position(is_it) {
            return Chain(found as u16 + 1);
        }
        let at = |plan: &Self| Chain(plan.chains.len() as u16);
        let alone = if before == Chain::NONE { at(self) } else { self.longer(Chain::NONE, last) };
        let longer = at(self);
        self.chains.push(PlannedChain::new(before, last, alone, &self.chains[usize::from(before.0)]));
        longer
    }
}

/// The first rule after a mark; a rule's number is a mark too, and the rule itself does not run.
fn after_mark(mark: &[u8], from: usize, rules: &[Rule], marks: &[(Vec<u8>, usize)]) -> usize {
    let marked = marks.iter().find(|(name, before)| name == mark && *before > from).map(|(_, before)| *before);
    let numbered = (from + 1..rules.len()).find(|at| rules[*at].id.to_string().as_bytes() == mark).map(|at| at + 1);
    marked.into_iter().chain(numbered).min().unwrap_or(rules.len())
}
