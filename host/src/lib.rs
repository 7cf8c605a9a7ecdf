//! Vanne's host: reads Kafka partitions, runs WebAssembly transforms, delivers objects exactly once.
