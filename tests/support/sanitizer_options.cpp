// Part of every test program. Under a sanitizer a request for more memory than there is fails as it does without one, which
// tests rely on, instead of ending the program.
extern "C" {
const char* __asan_default_options() { return "allocator_may_return_null=1"; }
const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
}
