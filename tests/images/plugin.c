// Loads NCCL's network plugin as NCCL does, and prints its log. Without a driver its start fails after the version.
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

static void logger(int level, unsigned long flags, const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
}

int main(void) {
  void *library = dlopen("libnccl-net.so", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return puts(dlerror()), 1;
  struct { const char *name; int (*init)(void *, void *); } *plugin = dlsym(library, "ncclNetPlugin_v10");
  if (plugin == NULL) return puts(dlerror()), 1;
  plugin->init(logger, NULL);
  return 0;
}
