/*
 * copy_inline.h
 *		COPY ... FROM stdin whose data stand in the script.
 */
#ifndef TAPMIG_COPY_INLINE_H
#define TAPMIG_COPY_INLINE_H

#include "nodes/parsenodes.h"

extern uint64 copy_inline(CopyStmt *stmt, const char *query,
						  const char *data, size_t len);
extern uint64 copy_inline_line(void);

#endif							/* TAPMIG_COPY_INLINE_H */
