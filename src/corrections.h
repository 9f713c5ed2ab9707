/*
 * corrections.h
 *		register, accept, withdraw, abandon, step_done: a human puts things right.
 */
#ifndef TAPMIG_CORRECTIONS_H
#define TAPMIG_CORRECTIONS_H

#include "request.h"

extern bool corrections_register(Request *request, const TimestampTz *applied_at);
extern void corrections_accept(Request *request, const char *why);
extern void corrections_withdraw(Request *request, const char *why);
extern void corrections_abandon(Request *request, const char *why);
extern void corrections_step_done(Request *request, int step, const char *why);

#endif							/* TAPMIG_CORRECTIONS_H */
