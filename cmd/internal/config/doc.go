// Package config reads the configuration file: YAML in the nouns of a router's
// Flexible NetFlow configuration, strict in its keys.
package config
