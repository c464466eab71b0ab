//! Named queues with leases, served to processes on any machine.
