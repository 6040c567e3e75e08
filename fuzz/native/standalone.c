/* A main for a fuzz target where there is no libFuzzer: runs it on the files that are given. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 20 };

int main(int argc, char **argv) {
    static uint8_t buffer[LARGEST];
    for (int i = 1; i < argc; i++) {
        FILE *const file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        const size_t size = fread(buffer, 1, sizeof buffer, file);
        fclose(file);
        LLVMFuzzerTestOneInput(buffer, size);
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
