// Package netns gives tests network namespaces of their own: links, addresses,
// functions and commands that run inside, all removed with the test.
package netns
