// Package guest holds the tests that run in the virtual machines of test/kernels:
// there the test binary is the init, beside the built program.
package guest
