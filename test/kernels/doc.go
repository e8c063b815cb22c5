// Package kernels has the program meter on kernels that Debian has released, in
// virtual machines without hardware support: that everything works there, not
// how fast.
//
// CACHEFLOW_TEST_KERNELS=1 asks for it. Where CI is set it is tried as well, and
// skipped with the reason if a kernel or qemu cannot be had.
package kernels
