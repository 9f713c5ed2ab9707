/*
 * corrections.h
 *		register, accept, withdraw: the ledger put right by a human.
 */
#ifndef TAPMIG_CORRECTIONS_H
#define TAPMIG_CORRECTIONS_H

#include "request.h"

extern bool corrections_register(Request *request, const TimestampTz *applied_at);
extern void corrections_accept(Request *request, const char *why);
extern void corrections_withdraw(Request *request, const char *why);

#endif							/* TAPMIG_CORRECTIONS_H */
