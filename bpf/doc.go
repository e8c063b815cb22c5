// Package bpf holds the program that runs in the kernel: its C, the objects that
// the compiler made of it for both byte orders, and the Go types of what it shares
// with user space. What loads and drains it is capture/kernel.
//
// The objects are made anew by clang 19 and the kernel's UAPI headers (Debian:
// clang-19, llvm-19 and linux-libc-dev); to build cacheflow needs none of them.
package bpf

// There are three flavours: the program itself; that for PREEMPT_RT; and a simple one
// to judge the others by. That for PREEMPT_RT takes a CPU's partition by an atomic exchange, which
// kernels before 5.12 do not know in BPF.

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -go-package bpf -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-function -idirafter /usr/include/x86_64-linux-gnu" -type tags -type entry -type details -type flow -type set -type set_details -type counters -type record -type victim -type snapshot -type device_flag -type record_kind Program cacheflow.c
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -go-package bpf -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-function -idirafter /usr/include/x86_64-linux-gnu -DREALTIME" Realtime cacheflow.c
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -go-package bpf -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-function -idirafter /usr/include/x86_64-linux-gnu -DSIMPLE" -type simple_key Simple cacheflow.c

// What abi.h defines, which does not get into the generated types.
const (
	CPUs = 1024

	Devices      = 4096 // places for devices, found by ifindex modulo Devices
	DeviceProbes = 8    // and in this many places from there

	Ways       = 4 // entries of a set
	Interfaces = 256
	Snap       = 256 // octets of a snapshot at most
)
