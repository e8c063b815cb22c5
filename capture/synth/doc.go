// Package synth is the Observation Point of a router that does not exist: seeded synthetic
// traffic, described by a profile.
//
// Conversations arrive as a Poisson process whose rate follows the time of day. Each is a
// stream of packets from a client, and mostly one that answers it; their numbers of packets
// are drawn from a heavy-tailed distribution, and the packets of all streams that live are
// handed over in the order of time. What a Source hands over is a function of its Config
// alone: it reads no clock, and has its own generator of random numbers. (Floating-point
// arithmetic may differ in the last bit between architectures, and then so may the traffic.)
package synth
