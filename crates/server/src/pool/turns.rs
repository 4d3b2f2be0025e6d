//! Who may run next: a bounded number of turns, shared out among projects by the time they have had.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::{Access, Grant};
use model::ProjectId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Whose work it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// An operator's, about all projects.
    Operator,
    /// A project's.
    Project(ProjectId),
}

impl Owner {
    pub(crate) fn of(grant: &Grant) -> Owner {
        match grant.access() {
            Access::Operator => Owner::Operator,
            Access::Project(project) => Owner::Project(project.clone()),
        }
    }

    /// The project's id, none for an operator.
    pub(crate) fn project(&self) -> Option<&ProjectId> {
        match self {
            Owner::Operator => None,
            Owner::Project(project) => Some(project),
        }
    }
}

/// Accounts that are kept of owners who neither run nor wait; beyond, all of them begin anew.
const ACCOUNTS_MAX: usize = 1000;

/// The turns there are.
///
/// One owner never has more than half of them: whoever comes next finds one soon, whatever the others ask. Of those
/// who wait, the one whose work has taken the least time goes first.
pub(crate) struct Turns {
    owner_max: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    owners: BTreeMap<Owner, Account>,
    /// The time had by whoever was served last: newcomers start from it, so that a long absence is no credit.
    level: Duration,
}

#[derive(Default)]
struct Account {
    busy: usize,
    had: Duration,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to run, given back when dropped.
pub(crate) struct Turn {
    /// Absent once it was taken back.
    turns: Option<Arc<Turns>>,
    owner: Owner,
    since: Instant,
}

impl Turns {
    pub(crate) fn new(turns: usize) -> Arc<Turns> {
        let state = State { free: turns, owners: BTreeMap::new(), level: Duration::ZERO };
        Arc::new(Turns { owner_max: turns.div_ceil(2), state: Mutex::new(state) })
    }

    /// Turns that nobody has.
    pub(crate) fn free(&self) -> usize {
        self.state.lock().free
    }

    /// Waits for a turn. Dropping the future gives up the place in the queue.
    pub(crate) async fn wait(self: &Arc<Turns>, owner: Owner) -> Turn {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let level = state.level;
            let account = state.owners.entry(owner).or_default();
            if account.busy == 0 && account.waiting.is_empty() {
                account.had = account.had.max(level);
            }
            // Places that were given up are forgotten here, so that the queue follows the open connections.
            account.waiting.retain(|sender| !sender.is_closed());
            account.waiting.push_back(sender);
        }
        self.serve();
        receiver.await.expect("a place in the queue is dropped only after its turn was sent")
    }

    /// Gives free turns to those who wait.
    fn serve(self: &Arc<Turns>) {
        while let Some((sender, turn)) = self.next() {
            // Whoever has left gives the turn back at once, and it goes to the next one.
            if let Err(mut turn) = sender.send(turn) {
                turn.turns = None;
                self.take_back(&turn.owner, Duration::ZERO);
            }
        }
    }

    fn next(self: &Arc<Turns>) -> Option<(oneshot::Sender<Turn>, Turn)> {
        let mut state = self.state.lock();
        if state.free == 0 {
            return None;
        }
        let may = state.owners.iter().filter(|(_, a)| !a.waiting.is_empty() && a.busy < self.owner_max);
        let owner = may.min_by_key(|(_, account)| account.had)?.0.clone();
        let account = state.owners.get_mut(&owner)?;
        let sender = account.waiting.pop_front()?;
        account.busy += 1;
        let had = account.had;
        state.free -= 1;
        state.level = state.level.max(had);
        if ACCOUNTS_MAX < state.owners.len() {
            state.owners.retain(|_, account| account.busy > 0 || !account.waiting.is_empty());
        }
        Some((sender, Turn { turns: Some(self.clone()), owner, since: Instant::now() }))
    }

    fn take_back(&self, owner: &Owner, took: Duration) {
        let mut state = self.state.lock();
        state.free += 1;
        let level = state.level;
        let Some(account) = state.owners.get_mut(owner) else { return };
        account.busy -= 1;
        account.had += took;
        // Who has had no more than anybody else needs no account.
        if account.busy == 0 && account.waiting.is_empty() && account.had <= level {
            state.owners.remove(owner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.take_back(&self.owner, self.since.elapsed());
            turns.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> Owner {
        Owner::Project(ProjectId::parse(id).unwrap())
    }

    #[tokio::test]
    async fn one_owner_has_at_most_half_and_others_come_through() {
        let turns = Turns::new(4);
        let (a, b) = (turns.wait(project("a")).await, turns.wait(project("a")).await);
        let third = tokio::spawn({
            let turns = turns.clone();
            async move { turns.wait(project("a")).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(turns.free(), 2, "the third waits though turns are free");
        let other = turns.wait(project("b")).await;
        assert_eq!(turns.free(), 1);
        drop(a);
        let third = third.await.unwrap();
        drop((b, other, third));
        assert_eq!(turns.free(), 4);
    }

    #[tokio::test]
    async fn who_has_had_less_goes_first_and_who_left_is_passed_over() {
        let turns = Turns::new(1);
        let first = turns.wait(project("greedy")).await;
        let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
        let wait = |owner: &'static str| {
            let (turns, order) = (turns.clone(), order.clone());
            tokio::spawn(async move {
                let turn = turns.wait(project(owner)).await;
                order.send(owner).unwrap();
                drop(turn);
            })
        };
        let gone = wait("greedy");
        let waiting = [wait("greedy"), wait("greedy"), wait("modest")];
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        // The time a turn was held is what counts: without it, both would be equal.
        std::thread::sleep(Duration::from_millis(2));
        drop(first);
        for task in waiting {
            task.await.unwrap();
        }
        let order: Vec<_> = std::iter::from_fn(|| served.try_recv().ok()).collect();
        assert_eq!(order, ["modest", "greedy", "greedy"]);
        assert_eq!(turns.free(), 1);
    }

    #[tokio::test]
    async fn accounts_do_not_follow_the_number_of_projects() {
        let turns = Turns::new(1);
        for i in 0..2 * ACCOUNTS_MAX {
            drop(turns.wait(project(&format!("p{i}"))).await);
        }
        assert!(turns.state.lock().owners.len() <= ACCOUNTS_MAX + 1);
    }
}
