//! The names in all directories: as the processes see them, as the disk has them, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};

use super::random::{Keep, Random};

/// What a name stands for: a directory or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(pub(super) u64);

/// The directory that everything is in.
pub(super) const ROOT: Node = Node(0);

/// Every directory with its names.
type Tree = BTreeMap<Node, BTreeMap<String, Node>>;

#[derive(Clone, Debug)]
pub(super) struct Names {
    live: Tree,
    durable: Tree,
    /// What makes `live` out of `durable`, in order.
    pending: Vec<Change>,
}

/// Names set or removed by one call, all of them or none.
#[derive(Clone, Debug)]
struct Change(Vec<(Node, String, Option<Node>)>);

impl Change {
    fn apply(&self, tree: &mut Tree) {
        for (dir, name, node) in &self.0 {
            let names = tree.entry(*dir).or_default();
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
    }

    fn touches(&self, dir: Node) -> bool {
        self.0.iter().any(|(touched, ..)| *touched == dir)
    }
}

impl Names {
    pub(super) fn new() -> Names {
        let root = Tree::from([(ROOT, BTreeMap::new())]);
        Names { live: root.clone(), durable: root, pending: Vec::new() }
    }

    /// The names in `dir`, if that is a directory.
    pub(super) fn of(&self, dir: Node) -> Option<&BTreeMap<String, Node>> {
        self.live.get(&dir)
    }

    pub(super) fn is_dir(&self, node: Node) -> bool {
        self.live.contains_key(&node)
    }

    /// Adds a directory that has no name yet.
    pub(super) fn add_dir(&mut self, node: Node) {
        self.live.insert(node, BTreeMap::new());
    }

    /// One change of any number of names, each in a directory: what each stands for from now on.
    pub(super) fn change(&mut self, names: Vec<(Node, String, Option<Node>)>) {
        let change = Change(names);
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Makes the names in `dir` durable, and whatever they need: the other half of a move, and earlier changes of the
    /// same names.
    pub(super) fn sync(&mut self, dir: Node) {
        let mut needed = BTreeSet::new();
        let mut is_synced = vec![false; self.pending.len()];
        for (change, is_synced) in self.pending.iter().zip(&mut is_synced).rev() {
            let names = || change.0.iter().map(|(dir, name, _)| (*dir, name.as_str()));
            if change.touches(dir) || names().any(|name| needed.contains(&name)) {
                *is_synced = true;
                needed.extend(names());
            }
        }
        for (change, is_synced) in self.pending.iter().zip(&is_synced) {
            if *is_synced {
                change.apply(&mut self.durable);
            }
        }
        let mut is_synced = is_synced.into_iter();
        self.pending.retain(|_| is_synced.next() == Some(false));
    }

    /// The names as a power cut leaves them: any of the changes, in their order.
    pub(super) fn crashed(mut self, random: &mut Random) -> Names {
        let keep = Keep::pick(random);
        let in_order = random.coin();
        let first_lost = random.below(self.pending.len() + 1);
        for (place, change) in self.pending.drain(..).enumerate() {
            let kept = match keep {
                Keep::All => true,
                Keep::Nothing => false,
                Keep::Some if in_order => place < first_lost,
                Keep::Some => random.coin(),
            };
            if kept {
                change.apply(&mut self.durable);
            }
        }
        let dirs: BTreeSet<Node> = self.live.into_keys().collect();
        let mut tree = Tree::new();
        let mut found = vec![ROOT];
        while let Some(dir) = found.pop() {
            let names = self.durable.remove(&dir).unwrap_or_default();
            found.extend(names.values().filter(|node| dirs.contains(node)));
            tree.insert(dir, names);
        }
        Names { live: tree.clone(), durable: tree, pending: Vec::new() }
    }

    /// Every node that has a name, with the number of its names.
    pub(super) fn links(&self) -> BTreeMap<Node, usize> {
        let mut links = BTreeMap::new();
        for node in self.live.values().flat_map(BTreeMap::values) {
            *links.entry(*node).or_default() += 1;
        }
        links
    }
}
