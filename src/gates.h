/*
 * gates.h
 *		is_applied, require, wait_for: what applications ask before they start.
 */
#ifndef TAPMIG_GATES_H
#define TAPMIG_GATES_H

#include "request.h"

extern bool gates_is_applied(const Request *request);
extern void gates_require(const Request *request);
extern void gates_wait_for(const Request *request, int64 timeout_ms);

#endif							/* TAPMIG_GATES_H */
