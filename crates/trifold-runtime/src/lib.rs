//! What every sealed engine needs around it: CPU check, guarded-call errors, log routing, thread budget.
