/*
 * trial.h
 *		Code that may fail without harm.
 */
#ifndef TAPMIG_TRIAL_H
#define TAPMIG_TRIAL_H

typedef void (*TrialBody) (void *arg);

extern bool trial_run(TrialBody body, void *arg, bool keep);

#endif							/* TAPMIG_TRIAL_H */
