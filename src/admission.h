/*
 * admission.h
 *		May this version run now? What apply, run and the worker ask the ledger.
 */
#ifndef TAPMIG_ADMISSION_H
#define TAPMIG_ADMISSION_H

#include "request.h"

extern bool admission_is_in_force(Request *request, bool locked);
extern bool admission_is_in_force_now(Request *request);
extern void admission_check_snapshot(const Request *request);
extern void admission_check_requires(const Request *request);
extern bool admission_is_squashed(const Request *request);
extern bool admission_is_out_of_order(const Request *request);

#endif							/* TAPMIG_ADMISSION_H */
