//! A search for texts that a rule set is slow to read: `slow_patterns RULES TRIES SEED LENGTH MOST_US ONLY`.
//!
//! For each question that rules ask of a text (an operator with its argument, behind its transformations; for `multiMatch` what
//! counts is the slowest of the texts that these make, and `all_us` is all of them) so many texts of that length are tried,
//! each made by a recipe; the recipes of the slowest are changed and tried again. The same is done for each chain of
//! transformations. What is found is timed five more times, a text by chance with other chances each time, and the least of
//! these counts. What took more than it may is timed so again when all is done: a machine that does something else may be
//! slow for longer. Values that the gate of an operator keeps out cost it nothing. `ONLY` is what the numbers of rules begin
//! with. One JSON line says what was slowest; `proofs/slow_patterns.py` runs it.

#[path = "../made/mod.rs"]
mod made;
mod recipe;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use rustix::time::{ClockId, clock_gettime};
use seclang::bytes::ByteSet;
use seclang::load;
use seclang::operator::{Captures, Scratch};
use seclang::rule::{Link, Question, Rule};
use seclang::transform::Transformation;
use serde_json::{Value, json};

use made::{Chance, Sought};
use recipe::Recipe;

/// How many recipes are kept, the slowest.
const KEPT: usize = 8;
/// How often what is found is timed again.
const AGAIN: u64 = 5;
/// How many are told.
const TOLD: usize = 10;
/// How much of the argument of an operator is told.
const SHOWN: usize = 80;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, tries, seed, length, most_us, only] = arguments.as_slice() else {
        return Err("usage: slow_patterns RULES TRIES SEED LENGTH MOST_US ONLY".into());
    };
    let (tries, length, most_us): (usize, usize, f64) = (tries.parse()?, length.parse()?, most_us.parse()?);
    let rules = load::file(Path::new(path)).map_err(|problems| problems[0].to_string())?;
    let wanted: Vec<&Rule> = rules.rules.iter().filter(|rule| rule.id.to_string().starts_with(only)).collect();
    let mut search = Search { tries, length, chance: Chance::new(seed.parse()?) };
    let (asked, with_macros) = questions(&wanted)?;
    let mut found = Vec::new();
    for asked in &asked {
        found.push((search.slowest(asked, asked.sought.as_ref())?, json!(asked.told())));
    }
    let mut of_chains = Vec::new();
    for chain in chains(&asked) {
        let names: Vec<&str> = chain.0.iter().map(|one| one.name()).collect();
        of_chains.push((search.slowest(&chain, None)?, json!({ "transformations": names })));
    }
    for (asked, (slow, _)) in asked.iter().zip(&mut found) {
        search.time_again(asked, slow, most_us)?;
    }
    for (chain, (slow, _)) in chains(&asked).zip(&mut of_chains) {
        search.time_again(&chain, slow, most_us)?;
    }
    let line = json!({
        "questions": asked.len(),
        "with_macros_left_out": with_macros,
        "tries": tries,
        "length": length,
        "found": told(found, most_us),
        "transformations": told(of_chains, most_us),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// The slowest texts of each, the worst first, with how many were over what is allowed.
fn told(mut found: Vec<(Slow, Value)>, most_us: f64) -> Value {
    found.sort_by_key(|(slow, _)| std::cmp::Reverse(slow.again));
    let slow = found.iter().filter(|(slow, _)| slow.us() > most_us).count();
    let tell = |(slow, what): &(Slow, Value)| {
        let mut line = what.clone();
        line["us"] = json!(rounded(slow.us()));
        line["all_us"] = json!(rounded(slow.all.as_secs_f64() * 1e6));
        line["cold_us"] = json!(rounded(slow.cold.as_secs_f64() * 1e6));
        line["recipe"] = json!(slow.recipe.to_string());
        line
    };
    json!({ "tried": found.len(), "slow": slow, "slowest": found.iter().take(TOLD.max(slow)).map(tell).collect::<Vec<_>>() })
}

fn rounded(us: f64) -> f64 {
    (us * 10.0).round() / 10.0
}

/// Something that takes time to read a text.
trait Reader {
    /// Reads a text, and says how much processor time that took: of texts that are made of it the slowest.
    fn read(&self, text: &[u8], memory: &mut Memory) -> Outcome<Duration>;
}

/// What is written to while a text is read.
#[derive(Default)]
struct Memory {
    scratch: Scratch,
    captures: Captures,
    texts: [Vec<u8>; 2],
    /// What all took that was made of the last text.
    all: Duration,
}

/// The slowest text that was found for something.
struct Slow {
    recipe: Recipe,
    /// The least that it took when it was read again.
    again: Duration,
    /// What all that was made of it took at least.
    all: Duration,
    /// The least in memory that has seen nothing.
    cold: Duration,
}

impl Slow {
    fn us(&self) -> f64 {
        self.again.as_secs_f64() * 1e6
    }
}

struct Search {
    tries: usize,
    length: usize,
    chance: Chance,
}

impl Search {
    /// Changes recipes of which the texts were slow to read, again and again.
    fn slowest(&mut self, reader: &impl Reader, sought: Option<&Sought>) -> Outcome<Slow> {
        let mut memory = Memory::default();
        let mut text = Vec::with_capacity(self.length);
        let mut best: Vec<(Duration, Recipe)> = Vec::new();
        for number in 0..self.tries.max(1) {
            let recipe = if number < KEPT.max(self.tries / 4) || self.chance.once_in(8) {
                Recipe::by_chance(sought, &mut self.chance)
            } else {
                let one = self.chance.below(best.len()).min(self.chance.below(best.len()));
                let other = self.chance.below(best.len());
                best[one].1.changed(&best[other].1, sought, &mut self.chance)
            };
            recipe.write(self.length, number as u64, &mut text);
            let spent = reader.read(&text, &mut memory)?;
            let place = best.partition_point(|(known, _)| *known >= spent);
            if place < KEPT {
                best.insert(place, (spent, recipe));
                best.truncate(KEPT);
            }
        }
        // What was slow once may have been disturbed by what else the machine does.
        let mut found: Option<Slow> = None;
        for (_, recipe) in best {
            let slow = self.timed(reader, recipe, &mut memory)?;
            if found.as_ref().is_none_or(|found| found.again < slow.again) {
                found = Some(slow);
            }
        }
        found.ok_or_else(|| "nothing was tried".into())
    }

    /// What the texts of a recipe take.
    fn timed(&self, reader: &impl Reader, recipe: Recipe, memory: &mut Memory) -> Outcome<Slow> {
        let mut text = Vec::with_capacity(self.length);
        let [mut again, mut all, mut cold] = [Duration::MAX; 3];
        for number in 0..AGAIN {
            recipe.write(self.length, self.tries as u64 + number, &mut text);
            again = again.min(reader.read(&text, memory)?);
            all = all.min(memory.all);
            cold = cold.min(reader.read(&text, &mut Memory::default())?);
        }
        Ok(Slow { recipe, again, all, cold })
    }

    /// Times what took more than it may once more, in memory that has read such texts; the less counts.
    fn time_again(&self, reader: &impl Reader, slow: &mut Slow, most_us: f64) -> Outcome<()> {
        if slow.us() > most_us {
            let mut memory = Memory::default();
            self.timed(reader, slow.recipe.clone(), &mut memory)?;
            let again = self.timed(reader, slow.recipe.clone(), &mut memory)?;
            if again.again < slow.again {
                *slow = again;
            }
        }
        Ok(())
    }
}

/// What rules ask of a text.
struct Asked<'r> {
    rules: Vec<u64>,
    link: &'r Link,
    question: &'r Question,
    sought: Option<Sought>,
    words: Option<AhoCorasick>,
}

/// Every question once, and the rules of those whose arguments are not known before a request.
fn questions<'r>(rules: &[&'r Rule]) -> Outcome<(Vec<Asked<'r>>, Vec<u64>)> {
    let mut found: Vec<Asked<'r>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    let mut with_macros = Vec::new();
    for rule in rules {
        for link in &rule.links {
            let Some(question) = &link.question else { continue };
            let operator = &question.operator;
            if operator.takes_macros() {
                with_macros.push(rule.id);
                continue;
            }
            let what = (operator.name(), operator.argument(), &link.transformations, link.capture, link.multi_match);
            if let Some(&at) = known.get(&what) {
                found[at].rules.push(rule.id);
                continue;
            }
            known.insert(what, found.len());
            let words = &operator.gate().literals;
            let words = AhoCorasick::builder().ascii_case_insensitive(true).build(words).map(Some)?;
            let words = words.filter(|automaton| automaton.patterns_len() > 0);
            found.push(Asked { rules: vec![rule.id], link, question, sought: Sought::of(question), words });
        }
    }
    with_macros.dedup();
    Ok((found, with_macros))
}

impl Asked<'_> {
    fn told(&self) -> Value {
        let argument = self.question.operator.argument();
        let argument = argument[..argument.len().min(SHOWN)].escape_ascii().to_string();
        json!({ "rules": self.rules, "operator": format!("@{} {argument}", self.question.operator.name()) })
    }

    /// Whether the engine would ask the operator at all.
    fn is_admitted(&self, text: &[u8]) -> bool {
        let gate = self.question.operator.gate();
        let present = ByteSet::present(text);
        self.question.negated
            || text.len() >= gate.least
                && gate.bytes.iter().all(|set| set.intersects(&present))
                && self.words.as_ref().is_none_or(|words| words.is_match(text))
    }

    fn ask(&self, text: &[u8], scratch: &mut Scratch, captures: &mut Captures) -> Outcome<Duration> {
        if !self.is_admitted(text) {
            return Ok(Duration::ZERO);
        }
        let captures = self.link.capture.then_some(captures);
        timed(|| {
            self.question.operator.matches(text, b"", scratch, captures);
        })
    }
}

impl Reader for Asked<'_> {
    fn read(&self, text: &[u8], memory: &mut Memory) -> Outcome<Duration> {
        let Memory { scratch, captures, texts: [current, next], all } = memory;
        current.clear();
        current.extend_from_slice(text);
        *all = Duration::ZERO;
        let mut slowest = Duration::ZERO;
        let mut ask = |text: &[u8]| {
            let spent = self.ask(text, scratch, captures)?;
            *all += spent;
            slowest = slowest.max(spent);
            Outcome::Ok(())
        };
        if self.link.multi_match {
            ask(current)?;
        }
        for transformation in &self.link.transformations {
            if transformation.apply(current, next) {
                std::mem::swap(current, next);
                if self.link.multi_match {
                    ask(current)?;
                }
            }
        }
        if !self.link.multi_match {
            ask(current)?;
        }
        Ok(slowest)
    }
}

/// What rules do to a text before they ask.
struct Chain(Vec<Transformation>);

fn chains(asked: &[Asked<'_>]) -> impl Iterator<Item = Chain> {
    let mut chains: Vec<_> = asked.iter().map(|asked| asked.link.transformations.clone()).collect();
    chains.sort();
    chains.dedup();
    chains.into_iter().filter(|chain| !chain.is_empty()).map(Chain)
}

impl Reader for Chain {
    fn read(&self, text: &[u8], memory: &mut Memory) -> Outcome<Duration> {
        let [current, next] = &mut memory.texts;
        current.clear();
        current.extend_from_slice(text);
        memory.all = timed(|| {
            for transformation in &self.0 {
                if transformation.apply(current, next) {
                    std::mem::swap(current, next);
                }
            }
        })?;
        Ok(memory.all)
    }
}

fn timed(work: impl FnOnce()) -> Outcome<Duration> {
    let before = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?;
    work();
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?.saturating_sub(before))
}
