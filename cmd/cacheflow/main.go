// Command cacheflow is a flow exporter for Linux that emulates a router's route
// cache.
package main

import "os"

func main() {
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
