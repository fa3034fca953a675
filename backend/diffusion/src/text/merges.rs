//! Byte-pair merges: a word falls into letters, and pairs join, the most important first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::bytes;

/// Marks the last symbol of a word.
pub(super) const WORD_END: &str = "</w>";

/// A part of a word, by number.
pub(super) type Symbol = u32;

/// Pairs of symbols in order of priority, and what they become.
#[derive(Clone, Debug)]
pub(super) struct Merges {
    symbols: HashMap<String, Symbol>,
    names: Vec<String>,
    pairs: HashMap<(Symbol, Symbol), (u32, Symbol)>,
    /// For every byte, its letter inside and at the end of a word.
    letters: Vec<(Symbol, Symbol)>,
}

/// A symbol of a word while it is being merged, with its living neighbours.
#[derive(Clone, Copy)]
struct Node {
    symbol: Symbol,
    previous: Option<usize>,
    next: Option<usize>,
    alive: bool,
}

/// A pair that may join: rank, place, and the symbols it was found with.
type Candidate = Reverse<(u32, usize, Symbol, Symbol, Symbol)>;

impl Merges {
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut merges = Self {
            symbols: HashMap::new(),
            names: Vec::new(),
            pairs: HashMap::new(),
            letters: Vec::new(),
        };
        for letter in bytes::alphabet() {
            let inside = merges.intern(letter.to_string());
            let last = merges.intern(format!("{letter}{WORD_END}"));
            merges.letters.push((inside, last));
        }
        for (left, right) in pairs {
            let (left, right) = (merges.intern(left), merges.intern(right));
            merges.add(left, right);
        }
        merges
    }

    /// Adds the least important pair; returns the name of what it becomes.
    pub(super) fn add(&mut self, left: Symbol, right: Symbol) -> String {
        let name = format!("{}{}", self.name(left), self.name(right));
        let joined = self.intern(name.clone());
        let rank = u32::try_from(self.pairs.len()).expect("fewer merges than 2^32");
        self.pairs.entry((left, right)).or_insert((rank, joined));
        name
    }

    /// The pairs in order of priority.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_unstable_by_key(|(_, (rank, _))| *rank);
        let name = |symbol: Symbol| self.name(symbol).to_owned();
        let names = pairs
            .into_iter()
            .map(|((left, right), _)| (name(*left), name(*right)));
        names.collect()
    }

    pub(super) fn name(&self, symbol: Symbol) -> &str {
        &self.names[symbol as usize]
    }

    fn intern(&mut self, name: String) -> Symbol {
        let next = u32::try_from(self.names.len()).expect("fewer symbols than 2^32");
        let names = &mut self.names;
        *self.symbols.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            next
        })
    }

    /// The symbols of a word; its time grows a little faster than its length.
    pub(super) fn split(&self, word: &str) -> Vec<Symbol> {
        let mut nodes = self.nodes(word);
        let mut queue: BinaryHeap<Candidate> = BinaryHeap::new();
        for place in 1..nodes.len() {
            queue.extend(self.candidate(&nodes, place - 1));
        }
        while let Some(Reverse((_, place, left, right, joined))) = queue.pop() {
            let node = nodes[place];
            let Some(next) = node.next.filter(|_| node.alive) else {
                continue;
            };
            if (node.symbol, nodes[next].symbol) != (left, right) {
                continue;
            }
            nodes[next].alive = false;
            nodes[place].symbol = joined;
            nodes[place].next = nodes[next].next;
            if let Some(after) = nodes[place].next {
                nodes[after].previous = Some(place);
            }
            queue.extend(self.candidate(&nodes, place));
            queue.extend(
                node.previous
                    .and_then(|before| self.candidate(&nodes, before)),
            );
        }
        let alive = nodes.iter().filter(|node| node.alive);
        alive.map(|node| node.symbol).collect()
    }

    fn nodes(&self, word: &str) -> Vec<Node> {
        let count = word.len();
        let letters = word.bytes().enumerate().map(|(place, byte)| {
            let (inside, last) = self.letters[usize::from(byte)];
            Node {
                symbol: if place + 1 == count { last } else { inside },
                previous: place.checked_sub(1),
                next: Some(place + 1).filter(|next| *next < count),
                alive: true,
            }
        });
        letters.collect()
    }

    fn candidate(&self, nodes: &[Node], place: usize) -> Option<Candidate> {
        let (left, right) = (nodes[place].symbol, nodes[nodes[place].next?].symbol);
        let (rank, joined) = self.pairs.get(&(left, right))?;
        Some(Reverse((*rank, place, left, right, *joined)))
    }
}
