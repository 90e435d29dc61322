# Pipit: `make run` starts it, `make test` proves it. `tools/setup` installs what both need.
#
#   make              build/pipitd, build/pipit, build/pipitctl, build/pipit-bench, build/libpipit.a
#   make run          a demo server on 127.0.0.1:8700 with alice and bob
#   make test         every test; the last line is "N passed, N failed"
#   make test SAN=address|undefined|thread        (or more than one: SAN=address,undefined)
#   make crash        the crash suite alone, with long seeds      (CRASH_ROUNDS=30)
#   make soak         a store that lives long and dies often, beside a model   (SOAK_SECONDS=600)
#   make fuzz         every fuzz target for FUZZ_SECONDS each     (FUZZ_SECONDS=60, needs clang)
#   make bench        the figures of docs/performance.md, each beside its floor
#   make layers       who may include whom
#   make docs         docs/configuration.md and docs/pipitd.conf, from server/config_keys.h
#   make picture      docs/chat.svg, from a screen of a real chat
#   make everything   programs and tests, nothing run
#   make install      DESTDIR= PREFIX=/usr/local

CC      ?= cc
SAN     ?=
BUILD   ?= build$(if $(SAN),/$(SAN))
PREFIX  ?= /usr/local
OPT     ?= -O2 -g
WERROR  ?=
VERSION := 0.1.0

# llhttp is generated C: Debian 12 ships it inside node-llhttp, later ones as a library of its own.
LLHTTP_SRC := $(wildcard /usr/share/llhttp/*.c)
# Its strict mode is chosen when it is compiled; the libraries have no other.
LLHTTP_INC := $(if $(LLHTTP_SRC),-isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1)
LLHTTP_LIB := $(if $(LLHTTP_SRC),,-lllhttp)
MSGPACK    := $(if $(wildcard /usr/lib/*/libmsgpackc.so /usr/lib/libmsgpackc.so),-lmsgpackc,-lmsgpack-c)

CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
              -Wpointer-arith -Wvla -Wno-unused-parameter -fno-common -fno-omit-frame-pointer $(OPT) $(WERROR) \
              $(if $(SAN),-fsanitize=$(SAN) $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=all)) \
              $(if $(findstring thread,$(SAN)),$(if $(findstring clang,$(CC)),,-Wno-tsan)) \
              -I. -DPIPIT_VERSION='"$(VERSION)"' $(CFLAGS)
LDFLAGS_ALL := $(if $(SAN),-fsanitize=$(SAN)) -pthread $(LDFLAGS)

LIBS_PROTO   := $(MSGPACK) -lsodium -ljansson
LIBS_STORAGE := -lsqlite3 -lxxhash
LIBS_SERVER  := -luv -lwslay $(LLHTTP_LIB) -linih -lssl -lcrypto
LIBS_CLIENT  := -lssl -lcrypto -ledit -lncursesw -lutf8proc -lqrencode
LIBS_TESTS   := -lcmocka -lvterm

SRC_PROTO   := $(wildcard proto/*.c)
SRC_STORAGE := $(wildcard storage/*.c)
SRC_SERVER  := $(filter-out server/main.c,$(wildcard server/*.c server/core/*.c server/net/*.c server/chat/*.c))
SRC_CLIENT  := $(filter-out tools/client/main.c,$(wildcard tools/client/*.c tools/client/tui/*.c tools/common/*.c))
SRC_PIPIT   := $(wildcard tools/client/pipit*.c tools/client/home*.c tools/client/sync*.c) \
               $(patsubst %,tools/client/%.c,online link lookup stream contact_link) tools/common/utf8.c $(SRC_PROTO)
SRC_HARNESS := $(wildcard tests/harness/*.c)
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIB_PROTO   := $(BUILD)/libproto.a
LIB_STORAGE := $(BUILD)/libstorage.a
LIB_SERVER  := $(BUILD)/libserver.a
LIB_CLIENT  := $(BUILD)/libclient.a
LIB_PIPIT   := $(BUILD)/libpipit.a
LIB_HARNESS := $(BUILD)/libharness.a
LLHTTP_OBJ  := $(patsubst /usr/share/llhttp/%.c,$(BUILD)/obj/llhttp/%.o,$(LLHTTP_SRC))

PROGRAMS := $(BUILD)/pipitd $(BUILD)/pipit $(BUILD)/pipitctl $(BUILD)/pipit-bench
TESTS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c tests/flow/test_*.c tests/crash/test_*.c))
STRANGER := $(patsubst tests/%.js,$(BUILD)/tests/%,$(wildcard tests/stranger/test_*.js))
FUZZERS  := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzzers/%,$(wildcard tests/fuzz/fuzz_*.c))

EXAMPLE  := $(BUILD)/example/echo

.PHONY: all run test crash soak fuzz fuzzers bench layers docs picture install clean everything FORCE
.SECONDARY:
.DEFAULT_GOAL := all
# What runs is told in short; in full with V=1.
run_quiet = $(if $(V),,@echo '  $(1)' &&)

all: $(PROGRAMS) $(LIB_PIPIT)

run: all
	@$(BUILD)/pipitd --demo

# Compiler and flags of what lies in BUILD. Every object depends on it, and it is rewritten only when they change:
# objects of two compilers or of two sets of flags never meet in one program.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL))' | cmp -s - $@ || \
	 echo '$(subst ','\'',$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL))' >$@

$(BUILD)/obj/llhttp/%.o: /usr/share/llhttp/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call run_quiet,cc $<) $(CC) -std=c11 $(OPT) $(if $(SAN),-fsanitize=$(SAN)) -w $(LLHTTP_INC) -c $< -o $@

$(BUILD)/obj/server/%.o $(BUILD)/obj/tests/%.o: CFLAGS_ALL += $(LLHTTP_INC)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call run_quiet,cc $<) $(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(LIB_PROTO): $(call obj,$(SRC_PROTO))
$(LIB_STORAGE): $(call obj,$(SRC_STORAGE))
$(LIB_SERVER): $(call obj,$(SRC_SERVER)) $(LLHTTP_OBJ)
$(LIB_CLIENT): $(call obj,$(SRC_CLIENT))
$(LIB_HARNESS): $(call obj,$(SRC_HARNESS))
$(BUILD)/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call run_quiet,ar $@) $(AR) rcs $@ $^

# The client as a library for others: one object, of which only the names in its headers can be seen.
PIPIT_NAMES   := pipit_* err_* user_id_* device_id_* conv_id_* msg_id_* bytes_* buf_* reader_* put_u* get_u*
PIPIT_HEADERS := proto/err.h proto/bytes.h proto/id.h proto/limits.h
LIBS_PIPIT    := -lwslay -lsqlite3 -lssl -lcrypto -lutf8proc $(LIBS_PROTO) -pthread
$(LIB_PIPIT): $(call obj,$(SRC_PIPIT))
	@rm -f $@
	$(call run_quiet,ar $@) $(CC) -r -nostdlib $^ -o $(BUILD)/libpipit.o
	@objcopy --wildcard $(patsubst %,--keep-global-symbol='%',$(PIPIT_NAMES)) $(BUILD)/libpipit.o
	@$(AR) rcs $@ $(BUILD)/libpipit.o

$(BUILD)/example/%: tools/client/example/%.c tools/client/pipit.h $(LIB_PIPIT)
	@mkdir -p $(@D)
	$(call run_quiet,ld $@) $(CC) $(CFLAGS_ALL) -Itools/client $< $(LIB_PIPIT) $(LDFLAGS_ALL) $(LIBS_PIPIT) -o $@

$(BUILD)/pipitd: $(call obj,server/main.c) $(LIB_SERVER) $(LIB_STORAGE) $(LIB_PROTO)
	$(call run_quiet,ld $@) $(CC) $^ $(LDFLAGS_ALL) $(LIBS_SERVER) $(LIBS_STORAGE) $(LIBS_PROTO) -o $@
$(BUILD)/pipit: $(call obj,tools/client/main.c) $(LIB_CLIENT) $(LIB_PROTO)
	$(call run_quiet,ld $@) $(CC) $^ $(LDFLAGS_ALL) -lwslay -lsqlite3 $(LIBS_CLIENT) $(LIBS_PROTO) -o $@
$(BUILD)/pipitctl: $(call obj,$(wildcard tools/ctl/*.c tools/common/*.c)) $(LIB_STORAGE) $(LIB_PROTO)
	$(call run_quiet,ld $@) $(CC) $^ $(LDFLAGS_ALL) -lcrypto $(LIBS_STORAGE) $(LIBS_PROTO) -o $@
$(BUILD)/pipit-bench: $(call obj,$(wildcard tools/bench/*.c)) $(LIB_STORAGE) $(LIB_PROTO)
	$(call run_quiet,ld $@) $(CC) $^ $(LDFLAGS_ALL) $(LIBS_STORAGE) $(LIBS_PROTO) -o $@

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(LIB_HARNESS) $(LIB_CLIENT) $(LIB_SERVER) $(LIB_STORAGE) $(LIB_PROTO)
	@mkdir -p $(@D)
	$(call run_quiet,ld $@) $(CC) $^ $(LDFLAGS_ALL) $(LIBS_SERVER) $(LIBS_STORAGE) $(LIBS_PROTO) $(LIBS_CLIENT) $(LIBS_TESTS) -o $@

$(BUILD)/tests/flow/test_library: | $(EXAMPLE)

# Manual pages: written by hand, with what the programs say of themselves put in.
MANUALS := $(patsubst docs/man/%,$(BUILD)/man/%,$(wildcard docs/man/*.[18]))
$(BUILD)/man/%: docs/man/% tools/man.sh $(PROGRAMS)
	@mkdir -p $(@D)
	$(call run_quiet,man $@) tools/man.sh $(BUILD)/$(basename $(@F)) $< >$@.part && mv $@.part $@
$(BUILD)/tests/flow/test_help: | $(MANUALS)

# The stranger's client is in Node; tests/run.sh starts programs, so each of its tests gets one that starts it. Without
# its packages (no network, no Node) only those tests fail, each of them saying what is missing.
NODE_MODULES := tests/stranger/node_modules/.package-lock.json
$(BUILD)/tests/stranger/%: tests/stranger/%.js | $(NODE_MODULES)
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec node $<\n' >$@ && chmod +x $@
$(NODE_MODULES): tests/stranger/package-lock.json
	-$(call run_quiet,npm ci) tests/stranger/install

everything: all $(EXAMPLE) $(MANUALS) $(TESTS)

test: everything $(STRANGER)
	@BUILD=$(BUILD) tests/run.sh $(TESTS) $(STRANGER)

crash: everything
	@BUILD=$(BUILD) CRASH_ROUNDS=$(or $(CRASH_ROUNDS),30) tests/run.sh $(filter $(BUILD)/tests/crash/%,$(TESTS))

soak: $(BUILD)/tests/soak/soak
	@rm -rf $(BUILD)/soak-data && mkdir -p $(BUILD)/soak-data
	@$< $(BUILD)/soak-data/data $(or $(SOAK_SECONDS),600)
	@rm -rf $(BUILD)/soak-data

# libFuzzer comes with clang; its objects live in a BUILD of their own, where all of ours are watched by it.
FUZZ_SAN := fuzzer-no-link,address,undefined
$(BUILD)/fuzzers/%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(LIB_HARNESS) $(LIB_CLIENT) $(LIB_SERVER) $(LIB_STORAGE) $(LIB_PROTO)
	@mkdir -p $(@D)
	$(call run_quiet,ld $@) $(CC) -Wl,--start-group $^ -Wl,--end-group -fsanitize=fuzzer $(LDFLAGS_ALL) $(LIBS_SERVER) $(LIBS_STORAGE) $(LIBS_PROTO) $(LIBS_CLIENT) -o $@
$(BUILD)/fuzzers/ctl: $(call obj,$(filter-out %/main.c,$(wildcard tools/ctl/*.c)))
fuzzers: $(FUZZERS)
fuzz:
	@$(MAKE) CC=clang SAN=$(FUZZ_SAN) OPT='-O1 -g' BUILD=$(BUILD)/fuzz fuzzers
	@tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60) $(patsubst $(BUILD)/%,$(BUILD)/fuzz/%,$(FUZZERS))

bench: all
	@tools/bench/run.sh $(BUILD)
	@LONG=$(LONG) tools/bench/store.sh $(BUILD)

layers:
	@tools/layers.sh
	@tools/seam.sh

docs: $(BUILD)/pipitd
	$< --print-docs >docs/configuration.md
	$< --print-example >docs/pipitd.conf

picture: all $(BUILD)/tests/picture/chat
	@BUILD=$(BUILD) PIPIT_PICTURE=docs/chat.svg $(BUILD)/tests/picture/chat

install: all $(MANUALS)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/pipitd $(BUILD)/pipit $(BUILD)/pipitctl $(BUILD)/pipit-bench $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(filter %.1,$(MANUALS)) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(filter %.8,$(MANUALS)) $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	for p in pipit pipitctl pipitd pipit-bench; do \
	    install -m 644 tools/completion/pipit.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$p; done
	install -m 644 tools/completion/_pipit $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -d $(DESTDIR)$(PREFIX)/include/pipit/proto $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 tools/client/pipit.h $(DESTDIR)$(PREFIX)/include/pipit
	install -m 644 $(PIPIT_HEADERS) $(DESTDIR)$(PREFIX)/include/pipit/proto
	install -m 644 $(LIB_PIPIT) $(DESTDIR)$(PREFIX)/lib
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@LIBS@|$(LIBS_PIPIT)|' tools/client/pipit.pc.in \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/pipit.pc

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
