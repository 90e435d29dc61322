/* sanitized.h - which sanitizer watches, for tests that then take fewer rounds: it looks for other things than they do,
 * and makes each five to fifteen times as dear. */
#ifndef PIPIT_TESTS_SANITIZED_H
#define PIPIT_TESTS_SANITIZED_H

#if defined(__has_feature)                /* clang; gcc defines the macros by itself */
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_THREAD__
#define SANITIZED_THREAD 1
#else
#define SANITIZED_THREAD 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED_ADDRESS 1
#else
#define SANITIZED_ADDRESS 0
#endif

#endif
