# Completion of neopro for bash. Candidates come from neopro itself, so that they are of its version and your checkout.
_neopro() {
    local neopro line current=${COMP_WORDS[COMP_CWORD]} first=1
    neopro=$(type -P neopro) || neopro='NEOPRO'
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -n $first ]]; then
            first=
            if [[ $line == files ]]; then
                compopt -o filenames 2>/dev/null
                while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
                return
            fi
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <("$neopro" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _neopro neopro
