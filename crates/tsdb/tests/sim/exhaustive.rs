//! A fixed workload in which every call fails once in every way.
