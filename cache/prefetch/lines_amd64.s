#include "textflag.h"

// func lines(base unsafe.Pointer, size uintptr, at *uint32, n int)
TEXT ·lines(SB), NOSPLIT, $0-32
	MOVQ base+0(FP), AX
	MOVQ size+8(FP), BX
	MOVQ at+16(FP), CX
	MOVQ n+24(FP), DX
	JMP  test

next:
	MOVL       (CX), SI
	ADDQ       $4, CX
	IMULQ      BX, SI
	PREFETCHT0 (AX)(SI*1)
	DECQ       DX

test:
	TESTQ DX, DX
	JNE   next
	RET
