//! Compiled expressions, and the cache that lets equal ones be one in memory.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fields::{Available, FieldSet, View};

use crate::ast::Ast;
use crate::check::{Checker, NamedList};
use crate::error::{Error, Fault};
use crate::functions::{self, Use};
use crate::list::Lists;
use crate::parse::parse;
use crate::pattern::{Pattern, PatternError, SharedPattern};
use crate::phase::Phase;
use crate::plan::{Cell, Frame, Operand, Test};

/// What an expression is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The phase in which it will run: it decides which fields are known.
    pub phase: Phase,
    /// What it is used as: with the phase, it decides which functions are allowed.
    pub used_as: Use,
    /// The lists that it may name.
    pub lists: &'a Lists,
    /// Where compiled parts are shared.
    pub cache: &'a Cache,
}

/// A compiled filter expression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression {
    program: Arc<Program<Test>>,
}

/// A compiled expression with a string for its value. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ValueExpression {
    program: Arc<Program<Operand>>,
}

/// A plan with what is known about it.
#[derive(Debug)]
struct Program<P> {
    plan: P,
    canonical: Box<str>,
    fields: FieldSet,
    /// A bit for each function that it holds, in the order of the table.
    functions: u64,
    lists: Box<[NamedList]>,
}

/// Compiles a filter expression.
pub fn compile(source: &str, context: &Context<'_>) -> Result<Expression, Error> {
    let program = program(&context.cache.conditions, source, context, Checker::condition)?;
    Ok(Expression { program })
}

/// Compiles an expression whose value is a string, such as the target of a dynamic redirect.
pub fn compile_value(source: &str, context: &Context<'_>) -> Result<ValueExpression, Error> {
    let program = program(&context.cache.values, source, context, Checker::value)?;
    Ok(ValueExpression { program })
}

impl Expression {
    /// Whether the request matches.
    #[inline]
    pub fn matches(&self, view: &View<'_>) -> bool {
        self.program.plan.run(&Frame::new(view))
    }

    pub(crate) fn test(&self) -> &Test {
        &self.program.plan
    }

    /// The fields that it reads.
    pub fn fields(&self) -> FieldSet {
        self.program.fields
    }

    /// Whether it reads the request body, so that the body must be held before it runs.
    pub fn needs_body(&self) -> bool {
        self.program.fields.reads(Available::Body)
    }

    /// Whether it reads the response.
    pub fn needs_response(&self) -> bool {
        self.program.fields.reads(Available::Response)
    }

    /// Whether the two are one in memory, as equal expressions compiled with one cache are.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program)
    }
}

/// Prints the canonical form, made from the tree.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program.canonical)
    }
}

impl ValueExpression {
    /// The value for a request, `None` where it is missing.
    pub fn evaluate(&self, view: &View<'_>) -> Option<Vec<u8>> {
        let cell: Cell<'_> = self.program.plan.evaluate(&Frame::new(view))?;
        cell.bytes().map(<[u8]>::to_vec)
    }

    /// The fields that it reads.
    pub fn fields(&self) -> FieldSet {
        self.program.fields
    }

    /// Whether it reads the request body.
    pub fn needs_body(&self) -> bool {
        self.program.fields.reads(Available::Body)
    }
}

/// Prints the canonical form, made from the tree.
impl fmt::Display for ValueExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program.canonical)
    }
}

/// Compiled parts that are shared between expressions, zones and policy versions, for as long as one of them lives. Keep
/// one for the life of the process.
#[derive(Debug, Default)]
pub struct Cache {
    patterns: Interned<Pattern>,
    conditions: Interned<Program<Test>>,
    values: Interned<Program<Operand>>,
}

impl Cache {
    /// The number of different regular expressions and expressions that are alive.
    pub fn len(&self) -> usize {
        self.patterns.len() + self.conditions.len() + self.values.len()
    }

    /// Whether nothing is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn pattern(&self, source: &str) -> Result<SharedPattern, PatternError> {
        let key = Key { source, response: false };
        self.patterns.get_or_insert(key, |_| true, || Pattern::new(source))
    }
}

/// A plan that says what it reads.
trait Reads {
    fn fields(&self) -> FieldSet;
}

impl Reads for Test {
    fn fields(&self) -> FieldSet {
        self.fields()
    }
}

impl Reads for Operand {
    fn fields(&self) -> FieldSet {
        self.fields()
    }
}

/// The program of a text: the one that lives already, or a new one.
fn program<'a, P: Reads>(
    cache: &Interned<Program<P>>,
    source: &'a str,
    context: &'a Context<'_>,
    plan: impl FnOnce(&mut Checker<'a>, &Ast) -> Result<P, Fault>,
) -> Result<Arc<Program<P>>, Error> {
    let key = Key { source, response: context.phase.sees_response() };
    let allowed = functions::allowed(context.phase, context.used_as);
    // A program that was compiled with other lists under the same names is another program, and one with functions that
    // are not allowed here is none.
    let fits = |program: &Program<P>| {
        program.functions & !allowed == 0
            && program
                .lists
                .iter()
                .all(|(name, list)| context.lists.get(name).is_some_and(|other| Arc::ptr_eq(list, other)))
    };
    cache.get_or_insert(key, fits, || {
        let ast = parse(source)?;
        let mut checker = Checker::new(source, context);
        let plan = plan(&mut checker, &ast).map_err(|fault| fault.locate(source))?;
        // What folding threw away is read by nobody, and what the plan reads for speed alone was not asked for.
        let fields = checker.fields.intersection(plan.fields());
        let (functions, lists) = (checker.functions, checker.lists.into());
        Ok(Program { plan, canonical: ast.to_string().into(), fields, functions, lists })
    })
}

/// What a compiled part was made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'k> {
    source: &'k str,
    response: bool,
}

/// Values that are made once for each key and live as long as someone holds them.
#[derive(Debug)]
struct Interned<T> {
    hasher: RandomState,
    /// By the hash of their key: a look-up then needs no owned key.
    entries: Mutex<Entries<T>>,
}

#[derive(Debug)]
struct Entries<T> {
    by_hash: HashMap<u64, Vec<Entry<T>>>,
    count: usize,
    swept_at: usize,
}

#[derive(Debug)]
struct Entry<T> {
    source: Box<str>,
    response: bool,
    value: Weak<T>,
}

/// Below this number of entries nothing is gained by looking for dead ones.
const SWEPT_FROM: usize = 1024;

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            entries: Mutex::new(Entries { by_hash: HashMap::new(), count: 0, swept_at: SWEPT_FROM }),
        }
    }
}

impl<T> Interned<T> {
    fn len(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.by_hash.values().flatten().filter(|entry| entry.value.strong_count() > 0).count()
    }

    /// The living value for a key if it still fits, else a new one. Two threads may make the same one; the later stays.
    fn get_or_insert<E>(
        &self,
        key: Key<'_>,
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let hash = self.hasher.hash_one(key);
        let found = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries
                .by_hash
                .get(&hash)
                .and_then(|same| same.iter().find(|entry| entry.is(key)))
                .and_then(|entry| entry.value.upgrade())
        };
        if let Some(value) = found.filter(|value| fits(value)) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(hash, key, Arc::downgrade(&value));
        Ok(value)
    }
}

impl<T> Entries<T> {
    fn insert(&mut self, hash: u64, key: Key<'_>, value: Weak<T>) {
        let same = self.by_hash.entry(hash).or_default();
        if let Some(entry) = same.iter_mut().find(|entry| entry.is(key)) {
            entry.value = value;
        } else {
            same.push(Entry { source: key.source.into(), response: key.response, value });
            self.count += 1;
        }
        if self.count >= self.swept_at {
            self.by_hash.retain(|_, same| {
                same.retain(|entry| entry.value.strong_count() > 0);
                !same.is_empty()
            });
            self.count = self.by_hash.values().map(Vec::len).sum();
            self.swept_at = SWEPT_FROM.max(2 * self.count);
        }
    }
}

impl<T> Entry<T> {
    fn is(&self, key: Key<'_>) -> bool {
        *self.source == *key.source && self.response == key.response
    }
}
