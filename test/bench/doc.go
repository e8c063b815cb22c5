// Package bench measures the program as a whole.
package bench
