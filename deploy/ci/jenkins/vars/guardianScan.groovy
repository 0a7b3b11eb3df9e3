// A step for Jenkins, as a shared library: `guardianScan target: '.', store: '/var/lib/guardian/advisories', failOn: ['high']`.
// It writes JUnit's XML, which the step takes in, and SARIF, which stays with the build. See docs/vulnerabilities.md.
def call(Map given = [:]) {
    Map settings = [program: 'guardian', target: '.', store: '/var/lib/guardian/advisories', failOn: ['high'], vex: [], ignore: ''] + given
    // What is given comes as variables of the shell, so that it is never run.
    withEnv([
        "GUARDIAN_PROGRAM=${settings.program}",
        "GUARDIAN_TARGET=${settings.target}",
        "GUARDIAN_STORE=${settings.store}",
        "GUARDIAN_FAIL_ON=${settings.failOn.join(' ')}",
        "GUARDIAN_VEX=${settings.vex.join(' ')}",
        "GUARDIAN_IGNORE=${settings.ignore}",
    ]) {
        int code = sh(returnStatus: true, label: 'Guardian scan', script: '''
            set -e
            set --
            if [ -n "$GUARDIAN_IGNORE" ]; then set -- "$@" --ignore "$GUARDIAN_IGNORE"; fi
            for file in $GUARDIAN_VEX; do set -- "$@" --vex "$file"; done
            "$GUARDIAN_PROGRAM" scan --store "$GUARDIAN_STORE" "$@" --format junit "$GUARDIAN_TARGET" > guardian-junit.xml
            "$GUARDIAN_PROGRAM" scan --store "$GUARDIAN_STORE" "$@" --format sarif "$GUARDIAN_TARGET" > guardian.sarif
            for what in $GUARDIAN_FAIL_ON; do set -- "$@" --fail-on "$what"; done
            "$GUARDIAN_PROGRAM" scan --store "$GUARDIAN_STORE" "$@" "$GUARDIAN_TARGET"
        ''')
        junit testResults: 'guardian-junit.xml', allowEmptyResults: true, skipMarkingBuildUnstable: true
        archiveArtifacts artifacts: 'guardian-junit.xml, guardian.sarif', allowEmptyArchive: true
        // Exit code 3 says that something was found which the step fails on.
        if (code == 3) {
            error('Guardian found vulnerabilities that this build fails on')
        } else if (code != 0) {
            error("Guardian could not scan: exit code ${code}")
        }
    }
}
