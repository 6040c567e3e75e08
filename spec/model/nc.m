-- Two nodes that send NCR to each other (HSL 5.2 D6, 5.10; requirements HSL-NCR-005 to HSL-NCR-012). Each node has
-- all the roles: its program rings doorbells, interrupts and rings again on one stream; its wave needs a translation
-- before it writes the word in memory for which the driver of the other node spins; its front end takes doorbells,
-- each behind a translation and perhaps a page request; both use the upper tester and unmap. What is searched for is
-- deadlock, and an interrupt that passes an NcWrite. Messages of a class are counted: their order means nothing, but
-- for the stream, which the counts keep. Completions arrive at once.

const
  CREDITS: 4; -- NCR credits of each direction
  WRITES: 1;  -- doorbells of a node before its interrupts
  INTRS: 1;
  AFTER: 0;   -- doorbells after its interrupts, on the same stream
  FAULTS: 0;  -- times that the translation of a front end faults: PageReq and PageRsp
  MGMTS: 0;   -- records of the upper tester: each is done by an NcRead of the other node, on that node's stream
  INVS: 0;    -- TransInv of software; 1 also lets the wave write by a translated NcWrite, on a stream of its own
  EVICTS: 0;  -- nodes whose page service completes a TransInv before it sends a PageRsp

type
  Node: scalarset(2);
  Kind: enum { write, again, write_va, read, intr, t_front, t_wave, page_req, page_rsp, inv_program, inv_page, mgmt };
  Count: 0..CREDITS;
  Front: enum { fe_idle, fe_asks, fe_fault, fe_page, fe_ready };
  Wave: enum { wv_begins, wv_asks, wv_writes, wv_done };
  Service: enum { sv_idle, sv_evict, sv_waits, sv_answers };
  Tester: enum { ut_idle, ut_reads };

var
  unsent: array[Node] of array[Kind] of 0..4;   -- begun and not sent
  sent: array[Node] of array[Kind] of Count;    -- sent and not taken: each holds a credit
  open: array[Node] of 0..MGMTS;                -- records not completed
  invs: array[Node] of 0..INVS;                 -- TransInv to begin
  faults: array[Node] of 0..FAULTS;
  evicts: array[Node] of boolean;
  pending: array[Node] of boolean;              -- the slot of the vector
  flag: array[Node] of boolean;                 -- the word in memory, written by the wave of this node
  front: array[Node] of Front;
  wave: array[Node] of Wave;
  holds: array[Node] of boolean;                -- a translated NcWrite is under way
  service: array[Node] of Service;              -- the slot of a PageReq
  tester: array[Node] of Tester;                -- the slot of a record
  inv: array[Node] of Kind;                     -- the slot of a TransInv

-- Words -----------------------------------------------------------------------------------------------------------

function ordinary(k: Kind): boolean; begin
  return k = write | k = again | k = write_va | k = read | k = mgmt;
end;
function credits(n: Node): Count;
var left: Count;
begin
  left := CREDITS;
  for k: Kind do left := left - sent[n][k]; endfor;
  return left;
end;
function has_credit(n: Node; k: Kind): boolean; begin
  return credits(n) > (ordinary(k) ? 1 : 0); -- HSL-NCR-005
end;
function undone(n: Node): boolean; begin -- HSL-NCR-006: earlier NCR of the stream are not completed
  return unsent[n][write] > 0 | sent[n][write] > 0;
end;
function held(n: Node): boolean; begin -- the interrupt waits at its sender
  return unsent[n][intr] > 0 & undone(n);
end;
function in_turn(n: Node; k: Kind): boolean; begin -- the order of the stream: write, intr, again, read
  switch k
    case intr: return !undone(n);
    case again: return unsent[n][intr] = 0;
    case read: return unsent[n][write] = 0 & unsent[n][intr] = 0 & unsent[n][again] = 0;
    else return true;
  endswitch;
end;
function bars(n: Node): boolean; begin return false; end; -- what is held bars no other message
function uses(n: Node): boolean; begin -- HSL-ATS-005: an access of this node uses a translation
  return front[n] = fe_ready | holds[n];
end;
function may_complete(n: Node): boolean; begin return true; end; -- HSL-NCR-010: what else a doorbell waits for at n
function may_merge(n: Node; o: Node): boolean; begin return true; end; -- HSL-NCR-007: an Intr of n at o
function may_translate(n: Node): boolean; begin return true; end; -- HSL-NCR-007: a TransReq of n

-- Senders ---------------------------------------------------------------------------------------------------------

ruleset n: Node do
  ruleset k: Kind do
    rule "send" unsent[n][k] > 0 & in_turn(n, k) & has_credit(n, k) & !(bars(n) & !ordinary(k)) ==> begin
      unsent[n][k] := unsent[n][k] - 1;
      sent[n][k] := sent[n][k] + 1;
    end;
  endruleset;
  rule "the wave needs a translation" wave[n] = wv_begins ==> begin
    wave[n] := wv_asks;
    unsent[n][t_wave] := 1;
  end;
  rule "unmap" invs[n] > 0 ==> begin
    invs[n] := invs[n] - 1;
    unsent[n][inv_program] := 1;
  end;
endruleset;

-- Receivers: o takes what n sent ----------------------------------------------------------------------------------

ruleset n: Node; o: Node do
  rule "Intr" n != o & sent[n][intr] > 0 & may_merge(n, o) ==> begin -- HSL-NCR-008
    assert "an interrupt is seen after the NcWrites before it" !undone(n);
    pending[o] := true;
    sent[n][intr] := sent[n][intr] - 1;
  end;
  rule "the driver takes the interrupt, once the word is written" n != o & pending[o] & flag[n] ==> begin
    pending[o] := false;
  end;
  rule "the front end fetches a doorbell" n != o & sent[n][write] + sent[n][again] + sent[n][write_va] > 0 & front[o] = fe_idle ==> begin
    front[o] := fe_asks;
    unsent[o][t_front] := 1;
  end;
  rule "the front end completes a doorbell" n != o & sent[n][write] + sent[n][again] > 0 & front[o] = fe_ready & may_complete(o) ==> begin
    front[o] := fe_idle;
    if sent[n][write] > 0 then sent[n][write] := sent[n][write] - 1; else sent[n][again] := sent[n][again] - 1; endif;
  end;
  rule "the front end completes a translated NcWrite" n != o & sent[n][write_va] > 0 & front[o] = fe_ready & may_complete(o) ==> begin
    front[o] := fe_idle;
    holds[n] := false;
    wave[n] := wv_done;
    sent[n][write_va] := 0;
  end;
  rule "TransReq of the front end" n != o & sent[n][t_front] > 0 & may_translate(n) ==> begin
    front[n] := fe_ready;
    sent[n][t_front] := 0;
  end;
  rule "TransReq of the front end faults" n != o & sent[n][t_front] > 0 & may_translate(n) & faults[n] > 0 ==> begin
    faults[n] := faults[n] - 1;
    front[n] := fe_fault;
    unsent[n][page_req] := 1;
    sent[n][t_front] := 0;
  end;
  rule "TransReq of the wave" n != o & sent[n][t_wave] > 0 & may_translate(n) ==> begin
    flag[n] := true;
    if INVS > 0 then wave[n] := wv_writes; holds[n] := true; unsent[n][write_va] := 1; else wave[n] := wv_done; endif;
    sent[n][t_wave] := 0;
  end;
  rule "PageReq" n != o & sent[n][page_req] > 0 ==> begin
    if service[o] = sv_idle then
      front[n] := fe_page;
      service[o] := sv_evict;
    else
      unsent[n][page_req] := 1; -- BUSY
    endif;
    sent[n][page_req] := 0;
  end;
  rule "the page service serves" n != o & service[o] = sv_evict ==> begin
    service[o] := evicts[o] ? sv_waits : sv_answers;
    if evicts[o] then unsent[o][inv_page] := 1; endif;
  end;
  rule "the page service answers" n != o & service[o] = sv_answers ==> begin
    service[o] := sv_idle;
    unsent[o][page_rsp] := 1;
  end;
  rule "PageRsp" n != o & sent[n][page_rsp] > 0 ==> begin
    assert "a PageRsp has the slot of its PageReq" front[o] = fe_page;
    front[o] := fe_asks;
    unsent[o][t_front] := 1;
    sent[n][page_rsp] := 0;
  end;
  ruleset k: Kind do
    rule "TransInv" n != o & (k = inv_program | k = inv_page) & sent[n][k] > 0 ==> begin
      if isundefined(inv[o]) then inv[o] := k; else unsent[n][k] := 1; endif; -- BUSY
      sent[n][k] := 0;
    end;
  endruleset;
  rule "TransInv is completed" n != o & !isundefined(inv[o]) & !uses(o) ==> begin
    if inv[o] = inv_page then service[n] := sv_answers; endif;
    undefine inv[o];
  end;
  rule "MgmtMsg" n != o & sent[n][mgmt] > 0 ==> begin
    sent[n][mgmt] := sent[n][mgmt] - 1;
    if tester[o] = ut_idle then
      tester[o] := ut_reads;
      unsent[o][read] := 1;
    else
      unsent[n][mgmt] := unsent[n][mgmt] + 1; -- BUSY
    endif;
  end;
  rule "NcRead, and the record that asked for it" n != o & sent[n][read] > 0 & sent[n][write] = 0 & sent[n][again] = 0 ==> begin
    sent[n][read] := 0;
    tester[n] := ut_idle;
    open[o] := open[o] - 1;
  end;
endruleset;

ruleset first: Node do
  startstate begin
    undefine inv;
    for n: Node do
      for k: Kind do unsent[n][k] := 0; sent[n][k] := 0; endfor;
      unsent[n][write] := WRITES; unsent[n][intr] := INTRS; unsent[n][again] := AFTER;
      unsent[n][mgmt] := MGMTS; open[n] := MGMTS; invs[n] := INVS;
      evicts[n] := EVICTS = 2 | EVICTS = 1 & n = first;
      -- HSL-NCR-010: a node whose page service waits for TransInv completes NCR without a page.
      faults[n] := EVICTS = 1 & n = first ? 0 : FAULTS;
      pending[n] := false; flag[n] := false; holds[n] := false;
      front[n] := fe_idle; wave[n] := wv_begins; service[n] := sv_idle; tester[n] := ut_idle;
    endfor;
  end;
endruleset;

-- From every state this is reachable.
liveness "every program ends"
  forall n: Node do
    wave[n] = wv_done & !pending[n] & front[n] = fe_idle & service[n] = sv_idle & isundefined(inv[n]) & invs[n] = 0
    & open[n] = 0 & forall k: Kind do unsent[n][k] = 0 & sent[n][k] = 0 endforall
  endforall;
