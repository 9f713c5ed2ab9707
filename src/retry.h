/*
 * retry.h
 *		lock_timeout shared by the waits of a try, who blocked it, the next try.
 */
#ifndef TAPMIG_RETRY_H
#define TAPMIG_RETRY_H

#include "executor.h"
#include "settings.h"

typedef struct Retry Retry;
typedef void (*RetryAfter) (int index, void *arg);

extern void retry_install_hooks(void);
extern Retry *retry_create(const Settings *settings, const char *label,
						   RetryAfter after, void *after_arg);
extern void retry_begin(Retry *retry, bool managed);
extern const ExecutorObserver *retry_observer(Retry *retry);
extern int	retry_left_ms(const Retry *retry);
extern void retry_end(Retry *retry, bool failed);
extern bool retry_is_blocked(const ErrorData *edata);
extern bool retry_report(Retry *retry, ErrorData *edata, const char *why_not);
extern void retry_pause(const Retry *retry);

#endif							/* TAPMIG_RETRY_H */
