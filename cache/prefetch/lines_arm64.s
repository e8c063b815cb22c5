#include "textflag.h"

// func lines(base unsafe.Pointer, size uintptr, at *uint32, n int)
TEXT ·lines(SB), NOSPLIT, $0-32
	MOVD base+0(FP), R0
	MOVD size+8(FP), R1
	MOVD at+16(FP), R2
	MOVD n+24(FP), R3
	CBZ  R3, done

next:
	MOVWU.P 4(R2), R4
	MADD    R1, R0, R4, R5
	PRFM    (R5), PLDL1KEEP
	SUB     $1, R3
	CBNZ    R3, next

done:
	RET
