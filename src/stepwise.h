/*
 * stepwise.h
 *		Runs a stepwise script, step after step; in the worker.
 */
#ifndef TAPMIG_STEPWISE_H
#define TAPMIG_STEPWISE_H

#include "request.h"

typedef enum StepwiseOutcome
{
	STEPWISE_LOST_RACE,			/* somebody else has the migration lock */
	STEPWISE_APPLIED,
	STEPWISE_SKIPPED,
	STEPWISE_REGISTERED
} StepwiseOutcome;

extern StepwiseOutcome stepwise_run(Request *request, int first_cut);

#endif							/* TAPMIG_STEPWISE_H */
