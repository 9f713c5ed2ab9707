/*
 * settings.h
 *		The tapmig.* settings, read once at entry.
 */
#ifndef TAPMIG_SETTINGS_H
#define TAPMIG_SETTINGS_H

typedef enum SettingsPolicy
{
	SETTINGS_ALLOW,
	SETTINGS_WARN,
	SETTINGS_ERROR
} SettingsPolicy;

typedef struct Settings
{
	char	   *track;			/* palloc'd copy */
	int			wait_timeout_ms;	/* 0: don't wait; -1: no end */
	int			lock_timeout_ms;	/* 0: tapmig sets none */
	int			lock_retries;	/* tries after the first */
	int			retry_work_ms;	/* no further try after so much work */
	int			rehearse_limit_ms;	/* 0: no limit */
	SettingsPolicy out_of_order;
	SettingsPolicy lint;		/* SETTINGS_ALLOW: off */
	int			lint_rows;		/* rows above which a hazard is an error */
	SettingsPolicy data_loss;
	bool		store_sql;
	bool		discard;		/* run begins with migration_discard() */
} Settings;

extern void settings_define(void);
extern void settings_read(Settings *settings, const char *track);

#endif							/* TAPMIG_SETTINGS_H */
