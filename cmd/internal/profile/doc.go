// Package profile reads traffic profiles, YAML that describes what synth.Profile says, and has
// some of its own to begin with.
package profile
