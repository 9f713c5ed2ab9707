/*
 * fuzz.h
 *		What the parts of the fuzzer share.
 */
#ifndef TAPMIG_FUZZ_H
#define TAPMIG_FUZZ_H

#include "nodes/pg_list.h"

/* A small generator of our own: an input alone decides what is tried with it. */
typedef struct FuzzRandom
{
	uint64		state;
} FuzzRandom;

static inline void
fuzz_random_seed(FuzzRandom *random, uint64 seed)
{
	random->state = seed * UINT64CONST(0x9E3779B97F4A7C15) + 1;
}

/* From 0 to n - 1. */
static inline uint32
fuzz_random(FuzzRandom *random, uint32 n)
{
	uint64		x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return (uint32) ((x * UINT64CONST(0x2545F4914F6CDD1D)) >> 33) % n;
}

/* fuzz_check.c */
extern void fuzz_check_script(const char *text, size_t len);
extern const char *fuzz_counters(void);

/* fuzz_psql.c */
extern List *fuzz_psql_split(const char *text, size_t len, bool std_strings,
							 bool *understood);

#endif							/* TAPMIG_FUZZ_H */
