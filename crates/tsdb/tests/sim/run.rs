//! A run: the store, its disk and the model, step by step, compared after each.

use disk::Sim;
use tsdb::{Db, TsdbError};

use crate::model::{Doomed, Model};
use crate::step::Step;
use crate::value::{Key, Value};
use crate::{START, store};

/// Attempts to open a store, or to delete, while calls fail.
const ATTEMPTS_MAX: usize = 10;

pub(crate) struct Run {
    pub(crate) sim: Sim,
    pub(crate) model: Model,
    pub(crate) now: i64,
    db: Option<Db>,
    /// What the help of the one family may be: the last one acknowledged, then those that were not.
    helps: Vec<Option<String>>,
    /// A call failed since the store was opened, which it may show until it is opened again.
    is_hurt: bool,
}

/// Errors of its methods say what is wrong with the store.
impl Run {
    /// A store that is not open on a disk that may hold one.
    pub(crate) fn new(sim: Sim) -> Run {
        Run { sim, db: None, model: Model::default(), now: START, helps: vec![None], is_hurt: false }
    }

    /// The same on a disk of its own; its store is not open.
    pub(crate) fn fork(&self) -> Run {
        let Run { sim, model, helps, .. } = self;
        Run { sim: sim.fork(), model: model.clone(), now: self.now, db: None, helps: helps.clone(), is_hurt: false }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Advance(ms) => self.now += ms,
            Step::Fail(after, fault) => self.sim.fail(self.sim.calls() + after, *fault),
            Step::Room(bytes) => self.sim.set_capacity(bytes.map(|bytes| self.sim.used() + bytes)),
            Step::Append { samples, help } => self.append(samples, help.as_deref())?,
            Step::Flush => self.maintain(|db, _| db.flush())?,
            Step::Maintain => self.maintain(Db::maintain)?,
            Step::Clean => {
                drop(self.with_store(|db, _| db.clean_tombstones().map_err(|e| e.to_string()))?);
                self.compare()?;
            }
            Step::Delete(doomed) => self.delete(*doomed)?,
            Step::Snapshot => self.snapshot()?,
            Step::Restart => self.restart(None)?,
            Step::Crash(seed) => self.restart(Some(*seed))?,
        }
        Ok(())
    }

    /// Ends the process, by a power cut if there is a seed for one, and opens the store.
    pub(crate) fn restart(&mut self, crash: Option<u64>) -> Result<(), String> {
        self.stop(crash);
        self.open()
    }

    /// Ends the process, by a power cut if there is a seed for one.
    pub(crate) fn stop(&mut self, crash: Option<u64>) {
        self.db = None;
        if let Some(seed) = crash {
            self.sim.crash(seed);
        }
    }

    /// Opens the store, again when a failing call or a power cut got in between.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        for _ in 0..ATTEMPTS_MAX {
            let failures = self.sim.failures();
            match self.try_open() {
                // It may do without what could not be read, and says so; that must be there the next time.
                Ok(db) if failures < self.sim.failures() => {
                    drop(store::contents(&db));
                    self.sim.set_capacity(None);
                }
                Ok(db) => return self.opened(db),
                Err(_) if self.sim.is_off() => self.sim.crash(self.sim.calls()),
                Err(_) if failures < self.sim.failures() => self.sim.set_capacity(None),
                Err(e) => return Err(format!("does not open: {e}")),
            }
        }
        Err("does not open at all".to_owned())
    }

    /// Opens the store once.
    pub(crate) fn try_open(&self) -> Result<Db, String> {
        store::open(self.sim.root())
    }

    /// Compares a store that was opened with the model, which then expects what was found.
    fn opened(&mut self, db: Db) -> Result<(), String> {
        self.sim.heal();
        self.is_hurt = false;
        let found = store::contents(&db)?;
        store::check_answers(&db, &found)?;
        self.model.settle(found).map_err(|e| format!("after opening: {e}"))?;
        let help = store::help(&db);
        if !self.helps.contains(&help) {
            return Err(format!("after opening: the help is {help:?}, expected was one of {:?}", self.helps));
        }
        self.helps = vec![help];
        self.db = Some(db);
        Ok(())
    }

    /// Does something with the store, and whatever a power cut or a failing call makes necessary.
    fn with_store<T>(&mut self, act: impl FnOnce(&Db, i64) -> Result<T, String>) -> Result<Result<T, String>, String> {
        if self.db.is_none() {
            self.open()?;
        }
        let Some(db) = &self.db else { return Err("is not open".to_owned()) };
        let failures = self.sim.failures();
        let result = act(db, self.now);
        self.is_hurt |= failures < self.sim.failures();
        self.sim.heal();
        match result {
            Err(e) if !self.is_hurt => Err(format!("failed without a cause: {e}")),
            result => Ok(result),
        }
    }

    fn append(&mut self, samples: &[(Key, Value)], help: Option<&str>) -> Result<(), String> {
        let result = self.with_store(|db, now| store::append(db, samples, help, now))?;
        let verdict = self.model.judge(samples, self.now);
        let help = help.map(|help| Some(help.to_owned()));
        match result {
            Ok(report) => {
                verdict.check(&report)?;
                self.model.acknowledge(samples, verdict.news);
                self.helps = help.map_or(std::mem::take(&mut self.helps), |help| vec![help]);
            }
            Err(_) => {
                self.model.suspend(verdict.news);
                self.helps.extend(help);
            }
        }
        self.compare()
    }

    fn maintain(&mut self, act: impl FnOnce(&Db, i64) -> Result<(), TsdbError>) -> Result<(), String> {
        self.model.flushed();
        let failures = self.sim.failures();
        let result = self.with_store(|db, now| act(db, now).map_err(|e| e.to_string()))?;
        // Once maintenance succeeds, nothing that failed before is an excuse.
        self.is_hurt &= result.is_err() || failures < self.sim.failures();
        self.compare()
    }

    fn delete(&mut self, doomed: Doomed) -> Result<(), String> {
        self.model.flushed();
        self.model.doom(doomed);
        for _ in 0..ATTEMPTS_MAX {
            if self.with_store(|db, _| store::delete(db, doomed))?.is_ok() {
                self.model.delete();
                return self.compare();
            }
            // It needs a log that can be written.
            self.sim.set_capacity(None);
            if self.sim.is_off() {
                self.restart(Some(self.sim.calls()))?;
            } else {
                drop(self.with_store(|db, now| db.maintain(now).map_err(|e| e.to_string()))?);
            }
        }
        Err("cannot delete".to_owned())
    }

    fn snapshot(&mut self) -> Result<(), String> {
        self.model.flushed();
        if let Ok(name) = self.with_store(|db, _| store::snapshot(db))? {
            // Whoever opens the copy has room for it.
            let elsewhere = self.sim.fork();
            elsewhere.set_capacity(None);
            let copy = store::read_copy(&elsewhere.root(), &name);
            copy.and_then(|found| self.model.is_live(found)).map_err(|e| format!("the copy {name}: {e}"))?;
        }
        self.compare()
    }

    /// Compares what the store has with the model; after a power cut it is opened first.
    fn compare(&mut self) -> Result<(), String> {
        if self.sim.is_off() {
            return self.restart(Some(self.sim.calls()));
        }
        let Some(db) = &self.db else { return Ok(()) };
        match store::contents(db) {
            Ok(found) => self.model.check(found),
            // It says that it could not read something; another start can.
            Err(_) if self.is_hurt => self.restart(None),
            Err(warned) => Err(warned),
        }
    }
}
