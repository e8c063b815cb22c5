// Package daemon runs the three stages: sources feed shards, each shard owns a
// table, and what leaves the tables goes to the exporters.
package daemon
