//! The roots of both epochs of a proof, rebuilt in one pass.
//!
//! Leaves in the order of the tree make it with a stack: where a leaf shares fewer bits with the one before than those
//! before it shared among themselves, the nodes that share more are finished and become one. Every inner node is the prefix
//! of exactly one pair of neighbours. The tree of the epoch before has the unchanged leaves, that of the epoch has all, so
//! that one pass with two stacks makes both, and what a leaf gives its parent is hashed once for both.
//!
//! With more threads than one the leaves are split by their first bits; each part makes one node of each tree, and the last
//! pass takes those as its leaves. Two leaves of which one is the beginning of the other stand beside each other in the order,
//! so that the pass finds them without searching.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::Digest;
use crate::hashing::{Configuration, Experimental, Hashing, WhatsAppV1};
use crate::label::Label;
use crate::proof::{Element, Proof};
use crate::refusal::Refusal;

/// The root hashes that a proof comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Of the epoch before.
    pub start: Digest,
    /// Of the epoch.
    pub end: Digest,
}

/// How far a verification is, for another thread to look at, which can also end it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// The elements that are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the verification, which is then refused as cancelled.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    fn step(&self, elements: u64) -> Result<(), Refusal> {
        self.done.fetch_add(elements, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) { Err(Refusal::Cancelled) } else { Ok(()) }
    }
}

/// Elements between two looks at the progress.
const STEP: usize = 1024;
/// Fewer elements are not worth a thread.
const WORTH_A_THREAD: usize = 8192;
/// More threads than this do not make it quicker.
const MOST_THREADS: usize = 64;
/// The parts of each thread, so that the threads end together though the parts differ.
const PARTS: usize = 8;

impl Proof {
    /// Checks that the proof leads from one root hash to the next, in `epoch`, the later of the two.
    pub fn verify(
        &self,
        configuration: &Configuration,
        epoch: u64,
        expected: &Roots,
        threads: usize,
        progress: &Progress,
    ) -> Result<(), Refusal> {
        let computed = self.roots(configuration, epoch, threads, progress)?;
        if computed.start != expected.start {
            return Err(Refusal::StartHash { expected: expected.start, computed: computed.start });
        }
        if computed.end != expected.end {
            return Err(Refusal::EndHash { expected: expected.end, computed: computed.end });
        }
        Ok(())
    }

    /// The root hashes that the proof leads from and to, if it is of `epoch`.
    pub fn roots(
        &self,
        configuration: &Configuration,
        epoch: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<Roots, Refusal> {
        if epoch == 0 {
            return Err(Refusal::Epoch);
        }
        match configuration {
            Configuration::WhatsAppV1 => Pass { hashing: &WhatsAppV1, epoch, progress }.roots(self, threads),
            Configuration::Experimental { domain } => {
                Pass { hashing: &Experimental::new(domain), epoch, progress }.roots(self, threads)
            }
        }
    }
}

/// What all parts of one verification share.
struct Pass<'a, H> {
    hashing: &'a H,
    epoch: u64,
    progress: &'a Progress,
}

/// Neighbouring leaves of a proof.
#[derive(Clone, Copy)]
struct Part<'a> {
    inserted: &'a [Element],
    unchanged: &'a [Element],
}

/// Both trees over a part, as far as they are.
struct Trees<'a, H: Hashing> {
    start: Tree<'a, H>,
    end: Tree<'a, H>,
}

impl<H: Hashing> Pass<'_, H> {
    fn roots(&self, proof: &Proof, threads: usize) -> Result<Roots, Refusal> {
        let threads = threads.min(MOST_THREADS);
        let whole = Part { inserted: proof.inserted(), unchanged: proof.unchanged() };
        let parts = whole.split(threads);
        let trees = if parts.len() == 1 { self.trees(whole)? } else { self.joined(&parts, threads)? };
        Ok(Roots { start: trees.start.root(), end: trees.end.root() })
    }

    /// Both trees over the leaves of a part.
    fn trees(&self, part: Part<'_>) -> Result<Trees<'_, H>, Refusal> {
        let mut trees = Trees { start: Tree::new(self.hashing), end: Tree::new(self.hashing) };
        let Part { mut inserted, mut unchanged } = part;
        let mut unseen = 0;
        loop {
            let takes_inserted = match (inserted.first(), unchanged.first()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(one), Some(other)) => one.label.tree_order(&other.label).is_lt(),
            };
            let leaves = if takes_inserted { &mut inserted } else { &mut unchanged };
            let Some((leaf, rest)) = leaves.split_first() else { break };
            *leaves = rest;
            if leaf.label.length() == 0 {
                return Err(Refusal::RootLabel);
            }
            if takes_inserted {
                let value = self.hashing.leaf(&leaf.value, self.epoch);
                trees.end.push(&leaf.label, self.hashing.child(&leaf.label, &value))?;
            } else {
                let child = self.hashing.child(&leaf.label, &leaf.value);
                trees.end.push(&leaf.label, child)?;
                trees.start.push(&leaf.label, child)?;
            }
            unseen += 1;
            if unseen == STEP {
                self.progress.step(STEP as u64)?;
                unseen = 0;
            }
        }
        self.progress.step(unseen as u64)?;
        Ok(trees)
    }

    /// Both trees over all parts, each part a leaf.
    fn joined(&self, parts: &[Part<'_>], threads: usize) -> Result<Trees<'_, H>, Refusal> {
        let next = AtomicUsize::new(0);
        let made = Mutex::new(Vec::with_capacity(parts.len()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = parts.get(index) else { return };
                let trees = self.trees(*part);
                if trees.is_err() {
                    next.store(parts.len(), Ordering::Relaxed);
                }
                let trees = trees.map(|trees| (trees.start.finished(), trees.end.finished()));
                made.lock().unwrap_or_else(PoisonError::into_inner).push((index, trees));
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(parts.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_unstable_by_key(|(index, _)| *index);
        let mut trees = Trees { start: Tree::new(self.hashing), end: Tree::new(self.hashing) };
        for (_, part) in made {
            let (start, end) = part?;
            for (tree, node) in [(&mut trees.start, start), (&mut trees.end, end)] {
                if let Some((first, last, child)) = node {
                    tree.push(&first, child)?;
                    tree.last = last;
                }
            }
        }
        Ok(trees)
    }
}

impl<'a> Part<'a> {
    /// The part by the first bits of its labels, or as it is where it is not worth it.
    fn split(self, threads: usize) -> Vec<Part<'a>> {
        let size = self.inserted.len() + self.unchanged.len();
        let bits = (threads * PARTS).next_power_of_two().trailing_zeros() as u16;
        // A label that is shorter than what the parts share belongs to several.
        let shorter = |element: &Element| element.label.length() < bits;
        if threads < 2
            || size < WORTH_A_THREAD
            || self.inserted.iter().any(shorter)
            || self.unchanged.iter().any(shorter)
        {
            return vec![self];
        }
        let mut rest = self;
        let mut parts = Vec::with_capacity(1 << bits);
        for beginning in 1..1_u16 << bits {
            let mut value = [0; 32];
            value[..2].copy_from_slice(&(beginning << (16 - bits)).to_be_bytes());
            let Some(border) = Label::new(value, u32::from(bits)) else { break };
            let before = |element: &Element| element.label.tree_order(&border).is_lt();
            let (inserted, inserted_behind) = rest.inserted.split_at(rest.inserted.partition_point(before));
            let (unchanged, unchanged_behind) = rest.unchanged.split_at(rest.unchanged.partition_point(before));
            parts.push(Part { inserted, unchanged });
            rest = Part { inserted: inserted_behind, unchanged: unchanged_behind };
        }
        parts.push(rest);
        parts
    }
}

/// A tree of which the leaves come from left to right.
struct Tree<'a, H: Hashing> {
    hashing: &'a H,
    /// The nodes that have no parent yet, each with the bits that it shares with the one before; the first with none.
    open: Vec<(u16, H::Child)>,
    first: Label,
    last: Label,
}

impl<'a, H: Hashing> Tree<'a, H> {
    fn new(hashing: &'a H) -> Self {
        Self { hashing, open: Vec::with_capacity(64), first: Label::ROOT, last: Label::ROOT }
    }

    /// Adds a leaf, or a node that stands for all leaves below it, of which `label` is the first.
    fn push(&mut self, label: &Label, child: H::Child) -> Result<(), Refusal> {
        let mut shared = 0;
        if self.open.is_empty() {
            self.first = *label;
        } else {
            shared = self.last.common_bits(label);
            if shared == self.last.length().min(label.length()) {
                return Err(Refusal::Prefix { shorter: self.last, longer: *label });
            }
            self.close(shared);
        }
        self.open.push((shared, child));
        self.last = *label;
        Ok(())
    }

    /// Gives a parent to all nodes that share more bits than these.
    fn close(&mut self, shared: u16) {
        while let [.., (_, left), (bits, right)] = &mut self.open[..] {
            if *bits <= shared {
                return;
            }
            let value = self.hashing.parent(left, right);
            *left = self.hashing.child(&self.last.prefix(*bits), &value);
            self.open.pop();
        }
    }

    /// The node that all leaves are below, with the first and the last of them; nothing of no leaves.
    fn finished(mut self) -> Option<(Label, Label, H::Child)> {
        self.close(0);
        self.open.first().map(|(_, child)| (self.first, self.last, *child))
    }

    fn root(mut self) -> Digest {
        self.close(0);
        let value = match &self.open[..] {
            [(_, left), (_, right), ..] => self.hashing.parent(left, right),
            [(_, right)] if self.last.begins_right() => self.hashing.parent(&self.hashing.absent(), right),
            [(_, left)] => self.hashing.parent(left, &self.hashing.absent()),
            [] => self.hashing.empty_root(),
        };
        self.hashing.root_hash(&value)
    }
}
